/* Programs that may not be started: refused before their first instruction (BPF LSM).
 *
 * Asked for every program that is started on the machine; answers only for tasks whose control group (version 2) is a
 * watched one or below one. A program is known by the last part of its file's path; for groups of which it is known what they
 * may do, by all of it (allow.h). Loaded apart from sensor.bpf.c, as many kernels do not take it.
 * SPDX-License-Identifier: GPL-2.0 OR MIT */
#include "mini.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

static u64 (*ancestor_cgroup)(s32 level) = (void *)123;
static void *(*ring_reserve)(const void *ring, u64 size, u64 flags) = (void *)131;
static void (*ring_submit)(void *data, u64 flags) = (void *)132;
static long (*path_text)(struct path *path, char *to, u32 size) = (void *)147;

#define NAME_BYTES 64   /* of a name, with the NUL that ends it */
#define PATH_BYTES 4096 /* PATH_MAX */
#define LEVELS 64       /* how deep a watched group may lie */
#define REFUSED (-1)    /* EPERM */

/* Set when the program is loaded: whether this kernel's verifier lets it ask for the path. */
volatile const u8 with_path = 1;

/* What user space exchanges as a whole: it fills a new generation, and then says that it holds. */
struct denied { u64 group; u64 generation; char name[NAME_BYTES]; };
/* `crates/sensor/src/deny/lsm.rs` has the same. */
struct refusal {
	u64 at;
	u64 group;
	u32 pid;
	u32 path_size;
	u32 path_at; /* where in `path` it begins */
	u8 because;
	u8 origin;
	u8 is_refused;
	u8 spare;
	char name[NAME_BYTES];
	char path[PATH_BYTES + 256];
};
enum because { BY_NAME, NOT_ALLOWED, REPLACED, WRITTEN };
enum count { COUNT_REFUSED, COUNT_UNTOLD, COUNTS };

struct { MAP_KIND(HASH); MAP_ENTRIES(16384); MAP_KEY(u64); MAP_VALUE(u8); } watched SEC(".maps");
/* Two generations. Group 0 is every watched group. */
struct { MAP_KIND(HASH); MAP_ENTRIES(16384); MAP_KEY(struct denied); MAP_VALUE(u8); } denied SEC(".maps");
/* The generation that holds; 0 is none. */
struct { MAP_KIND(ARRAY); MAP_ENTRIES(1); MAP_KEY(u32); MAP_VALUE(u64); } holds SEC(".maps");
struct { MAP_KIND(ARRAY); MAP_ENTRIES(COUNTS); MAP_KEY(u32); MAP_VALUE(u64); } counts SEC(".maps");
struct { MAP_KIND(RINGBUF); MAP_ENTRIES(1048576); } refusals SEC(".maps");

INLINE void count(u32 which)
{
	u64 *number = map_lookup(&counts, &which);
	if (number)
		ADD(*number, 1);
}

SEC("lsm/bprm_check_security")
int refuse(u64 *ctx)
{
	u32 first = 0;
	u64 *generation = map_lookup(&holds, &first);
	if (!generation || !*generation)
		return 0;
	struct linux_binprm *program = (void *)ctx[0];
	struct file *file = program->file;
	struct dentry *dentry = GET(file, f_path.dentry);
	struct denied key = {};
	key.generation = *generation;
	read_kernel_text(key.name, NAME_BYTES, GET(dentry, d_name.name));
	u64 innermost = 0;
	int found = 0;
	for (s32 level = 0; level < LEVELS; level++) {
		u64 group = ancestor_cgroup(level);
		if (!group)
			break;
		if (!map_lookup(&watched, &group))
			continue;
		innermost = group;
		key.group = group;
		if (map_lookup(&denied, &key))
			found = 1;
	}
	if (!innermost)
		return 0;
	key.group = 0;
	if (!found && !map_lookup(&denied, &key))
		return 0;
	count(COUNT_REFUSED);
	struct refusal *told = ring_reserve(&refusals, sizeof(*told), 0);
	if (!told) {
		count(COUNT_UNTOLD);
		return REFUSED;
	}
	told->at = boot_time();
	told->group = innermost;
	told->pid = current_pid_tgid() >> 32;
	told->path_size = 0;
	told->path_at = 0;
	told->because = BY_NAME;
	told->origin = 0;
	told->is_refused = 1;
	__builtin_memcpy(told->name, key.name, NAME_BYTES);
	if (with_path) {
		long size = path_text(&file->f_path, told->path, PATH_BYTES);
		if (size > 0)
			told->path_size = size;
	}
	ring_submit(told, 0);
	return REFUSED;
}

#include "allow.h"
