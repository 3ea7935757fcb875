/* Votes and releases: two stories of the survivors, told to honest clients.
 *
 * The aggregator is malicious. Up to MaskedInput all went well, so it holds every
 * member's signed root; it now says h3 = IN ("v is in U3": a share of b_v opens) to some
 * clients and h3 = OUT ("v dropped": a share of s_sk_v opens) to others, in any order,
 * as often as it likes. C members are corrupt: they vote for both, their shares of
 * both secrets of v are known. R times it restores an honest client from a snapshot
 * that was taken before its vote. A crash needs no step: nobody has to go on.
 *
 * What it may claim of v is all that a list can say of v, and any two h3 can stand for
 * IN and OUT; a third h3 only splits the votes further.
 *
 * spin -DN=7 -DC=1 -DR=1 -a views.pml; sizes and results in README.md.
 */
#ifndef N
#define N 4                   /* members */
#endif
#ifndef C
#define C 1                   /* corrupt ones */
#endif
#ifndef R
#define R 0                   /* snapshots of honest clients that are restored */
#endif
#ifndef CB
#define CB (C+R)              /* the c that the thresholds are computed for */
#endif
#ifndef QN
#define QN N                  /* the n that the quorum is computed for */
#endif
#ifndef Q
#define Q ((QN+CB)/2+1)
#endif
#ifndef T
#define T (CB+1)              /* the least threshold of shares that spec 2.4 allows */
#endif
#ifndef ONLY_P2
#define ONLY_P2 0             /* 1: look for the harm itself, past its first signs */
#endif
#define H (N-C)
#define IN 1
#define OUT 2

byte votes[3];                /* honest members that voted for IN, OUT */
byte opened[3];               /* honest members that opened their share of b_v, s_sk_v */
byte restored;

#define CERTIFIED(x) (votes[x] + C >= Q)
#ifdef NO_4_6_2               /* distinct voters: one corrupt vote, q times */
#define ACCEPTED(x) (1)
#elif defined(NO_4_6_3)       /* the votes on the h3 that this client latched */
#define ACCEPTED(x) (CERTIFIED(IN) || CERTIFIED(OUT))
#elif defined(NO_4_6_4)       /* q votes */
#define ACCEPTED(x) (1)
#else
#define ACCEPTED(x) CERTIFIED(x)
#endif

inline vote(x) {
  votes[x] = votes[x] + !voted[x];
  voted[x] = 1;
  h3 = x;
  assert(ONLY_P2 || !(CERTIFIED(IN) && CERTIFIED(OUT)))                /* P3 */
}

inline release(x) {
  assert(ONLY_P2 || R > 0 || !open[3-x]);                              /* P1 */
  assert(ONLY_P2 || CERTIFIED(x));                                     /* P4 */
  opened[x] = opened[x] + !open[x];
  open[x] = 1;
  assert(!(opened[IN] + C >= T && opened[OUT] + C >= T));              /* P2 */
  released = x
}

active [H] proctype client() {
  byte h3;                    /* what it latched: one h3 for good */
  byte released;
  bit voted[3], open[3];      /* what the world has of it, whatever it remembers */
end:
  do
  :: atomic { h3 == 0 -> if :: vote(IN) :: vote(OUT) fi }
  :: atomic { h3 != 0 && released == 0 && ACCEPTED(h3) -> release(h3) }
  :: atomic { h3 != 0 && restored < R -> restored++; h3 = 0; released = 0 }
#ifdef NO_4_6_5               /* one vote; a second list is refused (3.4-7) */
  :: atomic { h3 != 0 && released == 0 -> vote(3-h3) }
#endif
#ifdef NO_4_7_5               /* it answers for another U3 once it has released */
  :: atomic { released != 0 -> release(3-released) }
#endif
#ifdef NO_9_1                 /* a restarted process goes on, and knows nothing */
  :: atomic { h3 != 0 -> h3 = 0; released = 0 }
#endif
  od
}
