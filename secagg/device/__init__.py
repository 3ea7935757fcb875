"""A hospital's input on its GPU: quantize, mask and pack where the update lies.

What leaves the device goes through `secagg.device.leaving` and nowhere else:

- the largest absolute coordinate and the sum of squares, from which the host takes the
  gain of the clip (spec 5), and the index of a coordinate that is not finite;
- the count of saturated coordinates, which is then masked as an extra coordinate;
- packed chunks of y_u, masked.

The integers are those of `secagg.quantize`, bit by bit: each step is one operation of
IEEE 754 in binary64, in the same order, none of them a sum of a product that a compiler
could contract. torch and triton come with the extra ``gpu``.
"""
