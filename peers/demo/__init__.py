"""`secagg demo`: a consortium on one machine, real patients, and hospitals that die."""
