/* The lists of one session: a malicious aggregator tells each client its own.
 *
 * N members, of whom the last C are corrupt; the complete graph. Sets of members are bit
 * masks. A client takes any KeyList, DealerList and InputList that passes its checks;
 * what it signs is bound to the transcript of what it was told, so h1 = (U1),
 * h2 = (U1, U2), h3 = (U1, U2, U3), and a signature is good to those that hold the same.
 * Corrupt members sign whatever is wanted. Withheld messages, crashes, and members that
 * refuse need no steps of their own: nothing has to be delivered.
 *
 * Each check of a client can be left out with -DNO_<rule>.
 */
#ifndef N
#define N 4
#endif
#ifndef C
#define C 1
#endif
#ifndef Q
#define Q ((N+C)/2+1)
#endif
#ifndef T
#define T (C+1)               /* the least threshold of shares that spec 2.4 allows */
#endif
#define H (N-C)
#if Q > C+2                   /* n - d; q and c + 2 are 3 at least for n > 3, c > 0 */
#define FLOOR Q
#else
#define FLOOR (C+2)
#endif
#ifdef NO_4_2_1               /* lists within U0: bit N is a stranger, the aggregator's */
#define ALL ((1<<(N+1))-1)
#else
#define ALL ((1<<N)-1)
#endif
#define HONEST ((1<<H)-1)
#define BIT(i) (1<<(i))
#define WITHIN(x, y) (((x) & ~(y)) == 0)

#define SAME_H2(a, b) (u1[a] == u1[b] && u2[a] == u2[b])
#define SAME_H3(a, b) (SAME_H2(a, b) && u3[a] == u3[b])
/* a stated a root, under the h2 of b */
#define STATED(a, b) (ph[a] >= MASKED && (u2[a] & BIT(a)) && SAME_H2(a, b))

#define JOINED 0
#define DEALT 1               /* took L1, dealt its shares */
#define MASKED 2              /* took L2; stated its root if it is in U2 */
#define VOTED 3               /* took L3 */
#define RELEASED 4

byte ph[H], u1[H], u2[H], u3[H], fake[H];
hidden byte size, k, j, n, known_b, known_s;

inline count(x) {
  size = 0; k = 0;
  do :: k <= N -> size = size + (((x) >> k) & 1); k++ :: else -> break od
}

/* the honest of x that stated a root under the h2 of i: `size` is how many did not */
inline not_signed(i, x) {
  size = 0; k = 0;
  do
  :: k < H ->
     if
     :: ((x) & BIT(k)) && !STATED(k, i) -> size++
     :: else
     fi;
     k++
  :: else -> break
  od
}

/* n is how many votes there are on the h3 of i */
inline voters(i) {
  n = C; k = 0;
  do
  :: k < H ->
     if
     :: ph[k] >= VOTED && SAME_H3(k, i) -> n++
     :: else
     fi;
     k++
  :: else -> break
  od
}

inline key_list(i, x, f) {
  count(x);
  if
  :: ((x) & BIT(i)) &&                                                 /* 4.2-3 */
     size >= Q ->                                                      /* 4.2-4 */
     ph[i] = DEALT; u1[i] = x; fake[i] = f & x & ~BIT(i)
  :: else
  fi
}

inline dealer_list(i, x) {
  count(x);
  if
  :: WITHIN(x, u1[i]) &&                                               /* 4.4-2 */
     size >= Q ->                                                      /* 4.4-3 */
     ph[i] = MASKED; u2[i] = x
  :: else
  fi
}

inline input_list(i, x) {
  count(x);
  n = size;
  not_signed(i, x);
  if
  :: WITHIN(x, u2[i]) &&                                               /* 4.5-2 */
#ifndef NO_4_5_3
     size == 0 &&                                                      /* 4.5-3 */
#endif
#ifndef NO_4_5_5
     n >= FLOOR &&                                                     /* 4.5-5 */
#endif
     true ->
     ph[i] = VOTED; u3[i] = x
  :: else
  fi
}

/* a share of v that i holds was dealt by v under the same L1 (h1 is in its AD) */
inline secrets_kept() {
  j = 0;
  do
  :: j < H ->
     known_b = C; known_s = C; k = 0;
     do
     :: k < H ->
        if
        :: (fake[j] & BIT(k)) -> known_b++; known_s++
        :: !(fake[j] & BIT(k)) && ph[k] == RELEASED && ph[j] >= DEALT &&
           u1[k] == u1[j] && (u2[k] & BIT(j)) ->
           if :: (u3[k] & BIT(j)) -> known_b++ :: else -> known_s++ fi
        :: else
        fi;
        k++
     :: else -> break
     od;
     assert(!(known_b >= T && known_s >= T));                          /* P2 */
     j++
  :: else -> break
  od
}

inline certificate(i) {
  voters(i);
  if
  :: n >= Q ->                                                         /* 4.6-4 */
     ph[i] = RELEASED;
     assert(WITHIN(u3[i], u2[i]) && WITHIN(u2[i], u1[i]));             /* P5 */
     /* the sum that opens is over enough honest vectors that were sent: 2.3 */
     count(u3[i] & HONEST); n = size;
     not_signed(i, u3[i]);
     assert(n - size >= FLOOR - C);
     j = 0;
     do
     :: j < H ->
        assert(ph[j] != RELEASED || SAME_H3(j, i));                    /* P3 */
        j++
     :: else -> break
     od
  :: else
  fi
}

active proctype aggregator() {
  byte i, x, f;
  do
  :: atomic {
       select(i : 0 .. H-1);
       select(x : 0 .. ALL);
#ifdef NO_4_2_2               /* keys that their owner did not sign: of whom, f says */
       if :: ph[i] == JOINED -> select(f : 0 .. ALL) :: else fi;
#endif
       if
       :: ph[i] == JOINED -> key_list(i, x, f)
       :: ph[i] == DEALT -> dealer_list(i, x)
       :: ph[i] == MASKED -> input_list(i, x)
       :: ph[i] == VOTED -> certificate(i)
       :: else
       fi;
       secrets_kept();
       i = 0; x = 0; f = 0
     }
  od
}
