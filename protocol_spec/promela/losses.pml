/* Losses: an honest aggregator, members that fall silent, cut connections, restarts.
 *
 * One session on the complete graph, nobody corrupt. LOSSES members may fall silent, each
 * at any moment, for good (a slow member counts as silent from its deadline on). CUTS
 * times a connection breaks and what was on its way is lost; RESTARTS times the
 * aggregator is killed and resumes from its journal. Both sides repeat what the other
 * lacks (8-5). A deadline passes when all that are not silent have answered.
 *
 * No state comes twice in a run, so every run ends, and `judge` looks at how; with -DLTL
 * the same is asked as a formula, under weak fairness.
 */
#ifndef N
#define N 4
#endif
#ifndef C
#define C 1
#endif
#define Q ((N+C)/2+1)         /* q >= c + 2 and q >= 3, for n > 3c and c > 0 */
#define FLOOR Q               /* the smallest U3, and shares that rebuild a secret */
#ifndef LOSSES
#define LOSSES (N-FLOOR)      /* d */
#endif
#ifndef CUTS
#define CUTS 1
#endif
#ifndef RESTARTS
#define RESTARTS 1
#endif
#define ALL ((1<<N)-1)
#define BIT(i) (1<<(i))

/* What is said in a phase. In SHARES the bytes are random: sealing draws a nonce. */
#define KEYS 0
#define SHARES 1
#define ACKS 2
#define INPUTS 3
#define VOTES 4
#define OPENS 5
#define DONE 6
#define ABORTED 7

byte phase;                   /* of the aggregator; phase k > 0 has sent list[k-1] */
byte got[6];                  /* whose message it accepted */
byte disk_phase, disk_got[6]; /* its journal */
byte list[6];                 /* what members were sent, once and for all; 0: nothing */
byte noise, disk_noise, published;
bit told;                     /* in memory: it has published */
byte silent;                  /* members that are lost */
byte on_way;                  /* members whose latest message is on its way */
byte said[N];                 /* how many messages a member has made */
byte nonce[N], seen[N];       /* of its ShareKeys: kept by it; first on the wire */
bit secrets[N];
byte losses, cuts, restarts;
hidden byte size, k;

inline count(x) {
  size = 0; k = 0;
  do :: k < N -> size = size + (((x) >> k) & 1); k++ :: else -> break od
}

#define LIVE (ALL & ~silent)
#define ANSWERED ((LIVE & ~got[phase]) == 0)
#ifdef ACTED_FIRST            /* the list goes out, and is journaled afterwards */
#define JOURNALED true
#else
#define JOURNALED (got[phase] == disk_got[phase])
#endif
#define LACKS(i) (said[i] > phase && !(got[phase] & BIT(i)))

/* bytes of member i on the wire are always those that it first had there: P6 */
inline put_on_wire(i) {
  assert(said[i] != SHARES+1 || seen[i] == 0 || seen[i] == nonce[i]);
  if :: said[i] == SHARES+1 -> seen[i] = nonce[i] :: else fi;
  on_way = on_way | BIT(i)
}

proctype member(byte i) {
  do
  :: atomic {
       !(silent & BIT(i)) && phase < DONE && said[i] == phase ->
       said[i]++;
       if
       :: said[i] == KEYS+1 -> secrets[i] = 1
       :: said[i] == SHARES+1 -> nonce[i] = 1
       :: said[i] == OPENS+1 -> secrets[i] = 0                         /* 4.7-7 */
       :: else
       fi;
       put_on_wire(i)
     }
  :: atomic {                 /* reconnected: what the aggregator lacks, again */
       !(silent & BIT(i)) && !(on_way & BIT(i)) && phase < DONE && said[i] > 0 &&
       LACKS(i) ->
#ifdef SEALED_ANEW
       nonce[i] = 3 - nonce[i];
#endif
       put_on_wire(i)
     }
#ifndef SECRETS_KEPT
  :: atomic { phase >= DONE -> secrets[i] = 0; break }
#else
  :: atomic { phase >= DONE -> break }
#endif
  :: atomic { (silent & BIT(i)) -> break }
  od
}

inline publish() {
  assert(published == 0 || published == noise);       /* noise is drawn once: 9-4 */
  published = noise
}

inline end_phase() {
  count(got[phase]);
  if
  :: size < FLOOR -> phase = ABORTED; disk_phase = ABORTED
  :: size >= FLOOR && phase < OPENS ->
     assert(list[phase] == 0 || list[phase] == got[phase]);            /* 3.4-7 */
     list[phase] = got[phase];
     phase++;
#ifndef ACTED_FIRST
     disk_phase = phase
#endif
  :: size >= FLOOR && phase == OPENS && noise == 0 ->
     if :: noise = 1 :: noise = 2 fi;
#ifndef PUBLISHED_FIRST
     disk_noise = noise
#endif
  :: size >= FLOOR && phase == OPENS && noise != 0 && !told -> publish(); told = 1
  :: size >= FLOOR && phase == OPENS && noise != 0 && told -> phase = DONE
  fi
}

active proctype aggregator() {
  byte i;
  do
  :: atomic {
       phase < DONE && on_way != 0 ->
       i = 0;
       do :: !(on_way & BIT(i)) -> i++ :: else -> break od;
       on_way = on_way & ~BIT(i);
       if
       :: said[i] > phase -> got[phase] = got[phase] | BIT(i)
       :: else                /* a repeat, or late: ignored */
       fi;
       i = 0
     }
  :: atomic {                                                          /* 9-3 */
       phase < DONE && got[phase] != disk_got[phase] -> disk_got[phase] = got[phase]
     }
  :: atomic { phase < DONE && ANSWERED && JOURNALED -> end_phase() }
#ifdef ACTED_FIRST
  :: atomic { phase < DONE && disk_phase < phase -> disk_phase = phase }
#endif
  :: atomic { phase >= DONE -> break }
  od
}

inline restart() {
  restarts++;
  phase = disk_phase; noise = disk_noise; told = 0; on_way = 0;
  k = 0;
  do :: k < 6 -> got[k] = disk_got[k]; k++ :: else -> break od
}

active proctype weather() {
  byte i;
  do
  :: atomic {
       losses < LOSSES && phase < DONE -> losses++;
       select(i : 0 .. N-1);
       silent = silent | BIT(i);
       if :: on_way = on_way & ~BIT(i) :: skip fi;
       i = 0
     }
  :: atomic {
       cuts < CUTS && phase < DONE -> cuts++;
       select(i : 0 .. N-1);
       on_way = on_way & ~BIT(i);
       i = 0
     }
  :: atomic { restarts < RESTARTS && phase < DONE -> restart() }
  :: break
  od
}

init {
  byte i;
  atomic { for (i : 0 .. N-1) { run member(i) } }
}

/* Nothing can move any more: the sum is out (P10, P11), and no secret is kept (P12). */
active proctype judge() {
  byte i;
  timeout ->
#ifndef CLEAN_ABORT           /* with more losses than d: the sum, or an Abort */
  assert(phase == DONE);
#endif
  assert(phase >= DONE);
  for (i : 0 .. N-1) { assert(!secrets[i] || (silent & BIT(i))) }
}

#ifdef LTL
ltl p10 { <> (phase == DONE) }
#endif
