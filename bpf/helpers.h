/* The few helpers and macros of BPF that the sensor uses, so that a C compiler is all that is needed to build it.
 *
 * Numbers of helpers and of map types are those of the kernel's interface (linux/bpf.h); they never change.
 * SPDX-License-Identifier: GPL-2.0 OR MIT */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed int s32;
typedef signed long long s64;
typedef _Bool bool;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
#define NOINLINE static __attribute__((noinline))
/* Verified once, whoever calls it: the verifier follows any other function anew for each call. Takes numbers and pointers
 * to memory of the program. */
#define ONCE __attribute__((noinline))

/* How a map is described in BTF. */
#define MAP_KIND(number) int (*type)[number]
#define MAP_ENTRIES(number) int (*max_entries)[number]
#define MAP_FLAGS(number) int (*map_flags)[number]
#define MAP_KEY(kind) typeof(kind) *key
#define MAP_VALUE(kind) typeof(kind) *value

enum { HASH = 1, ARRAY = 2, PERCPU_ARRAY = 6, LRU_HASH = 9, RINGBUF = 27 };
enum { ANY = 0, NOEXIST = 1 };
enum { NO_PREALLOC = 1 };
enum { RING_NO_WAKEUP = 1, RING_FORCE_WAKEUP = 2, RING_PENDING = 0, RING_SIZE = 1 };

static void *(*map_lookup)(const void *map, const void *key) = (void *)1;
static long (*map_update)(const void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*map_delete)(const void *map, const void *key) = (void *)3;
static u64 (*current_pid_tgid)(void) = (void *)14;
static void *(*current_task)(void) = (void *)35;
static u64 (*current_cgroup)(void) = (void *)80;
static long (*send_signal)(u32 signal) = (void *)109;
static long (*read_user)(void *to, u32 size, const void *from) = (void *)112;
static long (*read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static long (*read_user_text)(void *to, u32 size, const void *from) = (void *)114;
static long (*read_kernel_text)(void *to, u32 size, const void *from) = (void *)115;
static u64 (*boot_time)(void) = (void *)125;
static long (*ring_output)(const void *ring, const void *data, u64 size, u64 flags) = (void *)130;
static u64 (*ring_query)(const void *ring, u64 what) = (void *)134;

/* Reads a field of a kernel structure of mini.h, wherever this kernel has it; zero if the address is bad. */
#define GET(pointer, field)                                                       \
	({                                                                        \
		typeof((pointer)->field) value_ = 0;                              \
		read_kernel(&value_, sizeof(value_), &(pointer)->field);          \
		value_;                                                           \
	})
/* Whether this kernel has a field. */
#define HAS(pointer, field) __builtin_preserve_field_info((pointer)->field, 2)
/* Size of a field as this kernel has it. */
#define SIZE(pointer, field) __builtin_preserve_field_info((pointer)->field, 1)
/* Keeps the compiler from reasoning about a value that the verifier must see bounded. */
#define OPAQUE(value) asm volatile("" : "+r"(value))
#define ADD(place, number) __sync_fetch_and_add(&(place), number)
#define SET(place, bits) __sync_fetch_and_or(&(place), bits)
