/* Attempts: one hospital, its disk, and an aggregator that offers what it likes.
 *
 * Two rounds of up to three attempts. The aggregator may send any Manifest, old ones too,
 * with any nonce it ever heard, and ends a session when it likes. KILLS times the
 * hospital's process is killed, at any moment, and starts again: what it held in memory
 * is gone, the disk stays. OLD_COPIES times the disk is put back to an earlier copy.
 *
 * A session is (round, attempt, nonce), as sid is a hash of all three; an update is the
 * round that it was trained for: training again on one model gives the same update.
 */
#ifndef OLD_COPIES
#define OLD_COPIES 0
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef NONCES
#define NONCES 3              /* times that it says Ready */
#endif
#define PAIR(r, a) (3*((r)-1)+(a))
#define SESSION ((PAIR(r, a)-1)*NONCES+x-1)
#define BIT(i) (1<<(i))

/* the session at hand */
#define NONE 0
#define TAKEN 1               /* a Manifest was accepted */
#define MARKED 2              /* its `joined` mark is on the disk (4.1-9) */
#define ADVERTISED 3
#define SPENT 4               /* the update's mark is on the disk (9-2) */
#define STATED 5              /* the root is out: this update may enter a sum */

byte joined, spent;           /* the disk: the last pair; bits of rounds */
byte old_joined, old_spent;   /* the copy */
byte kills, copies;
byte nonces;                  /* the aggregator heard 1 .. nonces */
byte highest;                 /* of the keys that were ever used */
int adverts, roots;           /* sessions in which they were sent, as bits */
byte joins, sums;             /* pairs that were joined, updates whose root was stated */

inline advertise() {
  assert(!(adverts & BIT(SESSION)));                                   /* I4 */
  adverts = adverts | BIT(SESSION);
  assert(copies > 0 || !(joins & BIT(PAIR(r, a))));                    /* I7 */
  joins = joins | BIT(PAIR(r, a));
#ifdef KEYS_KEPT
  keys = (keys > 0 -> keys : highest + 1);
#else
  keys = highest + 1;                                                  /* 3.2-6 */
#endif
  assert(keys > highest);                                              /* P14 */
  highest = keys;
  at = ADVERTISED
}

inline state_root() {
  assert(!(roots & BIT(SESSION)));                                     /* I4 */
  roots = roots | BIT(SESSION);
  assert(!(sums & BIT(update)));                                       /* I8 */
  sums = sums | BIT(update);
  at = STATED
}

inline manifest() {
  select(r : 1 .. 2); select(a : 1 .. 3); select(x : 1 .. NONCES);
  if
  :: x <= nonces &&
#ifndef NO_4_1_3
     x == nonce &&
#endif
#ifndef NO_4_1_4
     r == update &&
#endif
#ifndef NO_4_1_6
     PAIR(r, a) > joined &&
#endif
#ifndef NO_4_1_8
     !(spent & BIT(r)) &&
#endif
     true -> at = TAKEN
  :: else -> at = NONE; r = 0; a = 0; x = 0
  fi
}

active proctype hospital() {
  byte update, nonce;         /* what it is ready with; 0: it is not */
  byte at, r, a, x, keys;     /* the session at hand */
end:
  do
  :: atomic {
       at == NONE && nonces < NONCES ->
       nonces++; nonce = nonces;
       if :: update = 1 :: update = 2 fi
     }
  :: atomic { update != 0 && at < SPENT -> manifest() }
  :: atomic { at == TAKEN -> joined = PAIR(r, a); at = MARKED }
  :: atomic { at == MARKED -> advertise() }
#ifndef MARKED_LATE
  :: atomic { at == ADVERTISED -> spent = spent | BIT(r); at = SPENT }
  :: atomic { at == SPENT -> state_root() }
#else
  :: atomic { at == ADVERTISED -> state_root() }
  :: atomic { at == STATED -> spent = spent | BIT(r); at = SPENT }
#endif
  :: atomic {                 /* the aggregator ends it; Ready stands before the root */
       at >= ADVERTISED ->
       if :: at >= SPENT -> update = 0; nonce = 0 :: else fi;
       at = NONE; r = 0; a = 0; x = 0
     }
  :: atomic {
       kills < KILLS ->
       kills++;
       update = 0; nonce = 0; at = NONE; r = 0; a = 0; x = 0; keys = 0
     }
#if OLD_COPIES > 0
  :: atomic { copies == 0 -> old_joined = joined; old_spent = spent }
  :: atomic {
       copies < OLD_COPIES ->
       copies++; joined = old_joined; spent = old_spent;
       update = 0; nonce = 0; at = NONE; r = 0; a = 0; x = 0; keys = 0
     }
#endif
  od
}
