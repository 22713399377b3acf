/* What the kernel side and user space exchange; `crates/sensor/src/decode.rs` and `calls.rs` have the same.
 * SPDX-License-Identifier: GPL-2.0 OR MIT */
#pragma once

#include "helpers.h"

enum kind { NEW = 1, GONE, EXEC, EXIT, OPEN, NETWORK, PATH, CALL, KINDS };
enum flag { CUT = 1, ARGS_CUT = 2, COMPAT = 4, HOST_MOUNTS = 8, HELD = 16, RESOLVED = 32 };
enum { SIGCONT = 18, SIGSTOP = 19 };
enum origin { UNKNOWN, IMAGE, CHANGED, MOUNTED, MEMORY };
/* They stand for the first use of an entry that is not the 64-bit one, and for leaving the container's group. */
enum { OTHER_ENTRY = 601, LEFT_GROUP = 603 };
enum tally { LIFE_LOST, GROUPS_FULL, TALLIES };

#define DATA_STEP 4096   /* longest single text or run of bytes: PATH_MAX */
#define PATH_STEPS 200   /* parts of a path, mounts included, that are followed: what verifiers accept */
/* How long a runtime takes from its first step into a container to the container's program, in ns; after it, nothing
 * it does goes untold. */
#define ENTERING_TIME 60000000000ull
#define BATCH (128 << 10) /* bytes that may wait in the bulk ring before the reader is woken */

/* Every record: this, then the texts one after the other. */
struct head {
	u64 at;
	u64 group;
	u64 started;
	u64 effective;
	u64 permitted;
	s64 result;
	u64 args[6];
	u32 pid;
	u32 tid;
	u32 inner_pid;
	u32 parent;
	u32 uid;
	u32 euid;
	u32 gid;
	u32 login_uid;
	u32 tty;
	u32 session;
	u32 call;   /* number of the call at the 64-bit entry */
	u32 size;   /* of the texts */
	char comm[16];
	u16 lengths[8];
	u8 kind;
	u8 flags;
	u8 spare[2];
	u32 owner; /* process that started the program that this one runs; 0 is not known */
};
struct record { struct head head; u8 data[DATA_STEP * 5]; };

/* `root` is the device of the overlay that is the container's root, as its first program had it; 0 is not known. */
struct group { u64 container; u64 root; u64 sent[KINDS]; u64 lost[KINDS]; };
/* What a group used, as sets: bits of calls (512 of the 64-bit entry, then 512 of the 32-bit entry) and capabilities. It stays
 * when the group is gone, until user space has read it. Times are those of boot_time(); `since` is 0 if the group was there
 * before. `full` has a bit for each enum use of which more was used than is remembered. */
struct used {
	u64 container;
	u64 since;
	u64 gone;
	u64 told;
	u64 lost;
	u64 full;
	u64 capabilities;
	u64 refused_capabilities;
	u64 calls[16];
	u64 refused_calls[16];
	char id[64]; /* of the container; empty for a group inside it */
	u64 flags;   /* enum used_flag */
};
/* A process left the container's control group, or may have; calls by the numbers of x32 were made, and refused. */
enum used_flag { USED_LEFT = 1, USED_X32 = 2, REFUSED_X32 = 4 };
/* What was used first by a group: told once, with its path or address. Numbers of `a`, `b` and `c` are in profile.h. */
enum { FIRST = 100 };
enum use { EXECUTED = 1, MAPPED, READ, WRITTEN, PEER, LISTENING, ARGUMENT };
struct use_key { u64 group; u64 a; u64 b; u32 c; u32 use; };
/* Which argument of a call matters, 1 to 6, and which bits of it; 0 is none. With its number at the 64-bit entry. */
struct asked { u64 mask; u64 argument; u64 number; };

struct entry { u64 until; u32 mounts; u32 spare; };
struct member { u64 container; u32 owner; u32 spare; };
struct comm { char text[16]; };
struct name { char text[64]; };

/* How a call is told. An argument is named by its number, 0 to 5. */
enum { NO_ARGUMENT = 255, WORKING_FOLDER = 254 };
enum filter { ALWAYS, HAS_BITS, POINTS_TO_BITS, EQUALS, DIFFERS, IS_ONE_OF_TWO };
enum network { PLAIN, DUPLICATE, DATAGRAM, MESSAGE, MESSAGES };
struct call {
	u64 mask;
	u16 number; /* at the 64-bit entry */
	u8 kind;    /* OPEN, NETWORK, PATH, CALL; 0 is not told */
	u8 urgent;
	u8 a, b, c, d;
	u8 filter, filtered;
	u8 spare[6];
};
