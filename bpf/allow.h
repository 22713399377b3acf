/* Programs and files of a group of which it is known what it may start and write: all else is refused, or told.
 *
 * A path is that inside the container's own overlay, whatever was mounted over it or whichever root a process took; of what
 * lies elsewhere, that through all mounts. It is compared as a whole: one that is too long is refused. The runtime on its way
 * into a container is let through. Included by deny.bpf.c, whose maps it uses. Where the kernel does not take BPF LSM, only
 * `end_program` is loaded.
 * SPDX-License-Identifier: GPL-2.0 OR MIT */
#pragma once

static void (*ring_discard)(void *data, u64 flags) = (void *)133;

enum { KEY_BYTES = 240, STEPS = 64 };
enum { OVERLAY_MAGIC = 0x794c7630, TMPFS_MAGIC = 0x01021994, RAMFS_MAGIC = 0x858458f6 };
enum { PROC_MAGIC = 0x9fa0, SYSFS_MAGIC = 0x62656572, CGROUP_MAGIC = 0x27e0eb, CGROUP2_MAGIC = 0x63677270 };
enum { SIGKILL = 9 };
enum { S_IFMT = 0xf000, S_IFREG = 0x8000, WRITE_MODE = 2 };
enum origin { UNKNOWN, IMAGE, CHANGED, MOUNTED, MEMORY };
enum { LPM_TRIE = 11 };
/* Of mounts that no process sees: those of the kernel and of the layers of an overlay. */
#define INTERNAL ((u64)-22)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct mount___space { struct mnt_namespace *mnt_ns; };
#pragma clang attribute pop

/* Set when the program is loaded: inode number of the host's mount namespace. */
volatile const u32 host_mounts = 0;

/* What holds for a group: `root` is the device of its overlay, `number` that of its programs and places. */
struct set { u64 root; u64 number; u32 is_refused; u32 has_files; };
struct key { u64 number; char path[KEY_BYTES]; };
/* The same, as the longest beginning is sought by; bits of what follows. */
struct place { u32 bits; u8 number[8]; char path[KEY_BYTES]; };
/* Both lie in this, one over the other. Kernels before 6.2 take a key only from the stack. */
struct keys { u32 spare; u32 bits; struct key key; };
struct { MAP_KIND(HASH); MAP_ENTRIES(16384); MAP_FLAGS(NO_PREALLOC); MAP_KEY(u64); MAP_VALUE(struct set); } sets SEC(".maps");
/* A bit for each place where the file may lie (enum origin). */
struct { MAP_KIND(HASH); MAP_ENTRIES(262144); MAP_FLAGS(NO_PREALLOC); MAP_KEY(struct key); MAP_VALUE(u8); } allowed SEC(".maps");
struct { MAP_KIND(LPM_TRIE); MAP_ENTRIES(262144); MAP_FLAGS(NO_PREALLOC); MAP_KEY(struct place); MAP_VALUE(u8); } writable SEC(".maps");

/* A record, and what is needed to make it: memory of its own, for another task may come between. */
struct look {
	struct refusal told;
	u64 dentry;
	u64 mount; /* 0: mounts are not followed */
	u64 top;   /* of the mount */
	u32 at;
};

INLINE u32 mounts_of(struct task_struct *task)
{
	struct nsproxy *spaces = GET(task, nsproxy);
	struct mnt_namespace *mounts = GET(spaces, mnt_ns);
	return spaces ? GET(mounts, ns.inum) : 0;
}

INLINE struct mount *mount_of(struct vfsmount *mnt)
{
	return (void *)mnt - __builtin_preserve_field_info(((struct mount *)0)->mnt, 0);
}

INLINE u64 space_of(struct vfsmount *mnt)
{
	struct mount___space *mount = (void *)mount_of(mnt);
	return (u64)GET(mount, mnt_ns);
}

/* The set of the innermost group that has one. */
INLINE struct set *set_of_task(u64 *innermost)
{
	struct set *found = 0;
	for (s32 level = 0; level < LEVELS; level++) {
		u64 group = ancestor_cgroup(level);
		if (!group)
			break;
		struct set *set = map_lookup(&sets, &group);
		if (set) {
			found = set;
			*innermost = group;
		}
	}
	return found;
}

INLINE u64 group_of(struct task_struct *task)
{
	struct css_set *sets = GET(task, cgroups);
	struct cgroup *group = GET(sets, dfl_cgrp);
	struct kernfs_node *node = GET(group, kn);
	return GET(node, id);
}

/* Whether a task is the runtime, which starts itself again before it enters: among the host's mounts, and made by a process
 * there that is in no such group. */
INLINE int is_runtime(struct task_struct *task)
{
	struct task_struct *parent = GET(task, real_parent);
	return host_mounts && mounts_of(task) == host_mounts && mounts_of(parent) == host_mounts &&
	       group_of(parent) != group_of(task);
}

/* Whether a task still runs the runtime's program: a file of the host, or in memory, from where a container starts none. */
INLINE int runs_runtime(struct task_struct *task)
{
	struct mm_struct *memory = GET(task, mm);
	if (!memory)
		return 1;
	struct file *program = GET(memory, exe_file);
	struct inode *inode = GET(program, f_inode);
	struct vfsmount *mnt = GET(program, f_path.mnt);
	u64 space = space_of(mnt);
	if (GET(inode, i_nlink) == 0 || !space || space == INTERNAL)
		return 1;
	struct mnt_namespace *mounts = (void *)space;
	return host_mounts && GET(mounts, ns.inum) == host_mounts;
}

INLINE int is_own(struct super_block *super, struct task_struct *task, u64 root)
{
	if (root)
		return GET(super, s_dev) == root;
	struct fs_struct *fs = GET(task, fs);
	struct vfsmount *mnt = GET(fs, root.mnt);
	return super == GET(mnt, mnt_sb);
}

/* As in sensor.bpf.c. */
INLINE u32 origin_of(struct inode *inode, int is_own)
{
	if (GET(inode, i_nlink) == 0)
		return MEMORY;
	struct super_block *super = GET(inode, i_sb);
	u64 magic = GET(super, s_magic);
	if (!is_own || magic == TMPFS_MAGIC || magic == RAMFS_MAGIC)
		return MOUNTED;
	if (magic != OVERLAY_MAGIC)
		return UNKNOWN;
	void *upper = 0;
	read_kernel(&upper, 8, (void *)inode + __builtin_preserve_type_info(*(struct inode *)0, 1));
	return upper ? CHANGED : IMAGE;
}

/* One step towards the root; 0 when it is over. */
INLINE int step(struct look *look)
{
	struct dentry *dentry = (void *)look->dentry;
	struct dentry *parent = GET(dentry, d_parent);
	if (look->dentry == look->top || dentry == parent) {
		struct mount *mount = (void *)look->mount;
		if (!mount)
			return 0;
		struct mount *above = GET(mount, mnt_parent);
		if (above == mount || !above)
			return 0;
		look->dentry = (u64)GET(mount, mnt_mountpoint);
		look->mount = (u64)above;
		look->top = (u64)GET(above, mnt.mnt_root);
		return 1;
	}
	u32 size = GET(dentry, d_name.len);
	if (size > 255)
		size = 255;
	u32 at = look->at;
	if (at > PATH_BYTES || at < size + 1 || !parent)
		return -1;
	at -= size + 1;
	at &= PATH_BYTES - 1;
	OPAQUE(size);
	size &= 255;
	look->told.path[at] = '/';
	read_kernel(&look->told.path[at + 1], size, GET(dentry, d_name.name));
	look->at = at;
	look->dentry = (u64)parent;
	return 1;
}

/* Finds the path; not 0 if it is not all of it. */
NOINLINE int find(struct look *look)
{
	look->at = PATH_BYTES;
	int more = 1;
	for (int i = 0; i < STEPS; i++) {
		more = step(look);
		if (more <= 0)
			break;
	}
	u32 at = look->at;
	if (at >= PATH_BYTES)
		return -1;
	look->told.path_at = at;
	look->told.path_size = PATH_BYTES - at;
	return more;
}

/* Makes the key of a path; not 0 if it is longer than one. */
INLINE int make_key(struct keys *keys, struct look *look, u64 number)
{
	__builtin_memset(keys, 0, sizeof(*keys));
	keys->bits = (8 + KEY_BYTES) * 8;
	keys->key.number = number;
	u32 size = look->told.path_size;
	int is_long = size >= KEY_BYTES;
	if (is_long)
		size = KEY_BYTES - 1;
	OPAQUE(size);
	if (size >= KEY_BYTES)
		return -1;
	u32 at = look->at;
	read_kernel(keys->key.path, size, &look->told.path[at & (PATH_BYTES - 1)]);
	return is_long;
}

INLINE void begin(struct look *look, u64 group, struct set *set, u64 dentry, struct vfsmount *mnt, int is_own)
{
	look->told.at = boot_time();
	look->told.group = group;
	look->told.pid = current_pid_tgid() >> 32;
	look->told.path_size = 0;
	look->told.path_at = 0;
	look->told.is_refused = set->is_refused;
	look->told.spare = 0;
	__builtin_memset(look->told.name, 0, NAME_BYTES);
	look->dentry = dentry;
	look->mount = is_own ? 0 : (u64)mount_of(mnt);
	look->top = is_own ? 0 : (u64)GET(mnt, mnt_root);
}

INLINE int refused(struct set *set)
{
	if (!set->is_refused)
		return 0;
	count(COUNT_REFUSED);
	return REFUSED;
}

/* Whether a program may be started, REFUSED if not. One that has `begun` was let through by its file system, if it is of the
 * container's own; what was told then is not told again. */
INLINE int started(struct linux_binprm *program, int begun)
{
	u64 group = 0;
	struct set *set = set_of_task(&group);
	struct task_struct *task = current_task();
	if (!set || is_runtime(task))
		return 0;
	struct file *file = GET(program, file);
	struct inode *inode = GET(file, f_inode);
	struct dentry *dentry = GET(file, f_path.dentry);
	int own = is_own(GET(inode, i_sb), task, set->root);
	if (begun && own && !set->is_refused)
		return 0;
	struct look *look = ring_reserve(&refusals, sizeof(*look), 0);
	if (!look) {
		count(COUNT_UNTOLD);
		return refused(set);
	}
	begin(look, group, set, (u64)dentry, GET(file, f_path.mnt), own);
	u32 origin = origin_of(inode, own);
	look->told.origin = origin;
	look->told.because = NOT_ALLOWED;
	read_kernel_text(look->told.name, NAME_BYTES, GET(dentry, d_name.name));
	struct keys keys;
	int is_cut = find(look);
	is_cut |= make_key(&keys, look, set->number);
	u8 *where = is_cut ? 0 : map_lookup(&allowed, &keys.key);
	if (where && *where >> origin & 1) {
		ring_discard(look, RING_NO_WAKEUP);
		return 0;
	}
	if (where)
		look->told.because = REPLACED;
	ring_submit(look, 0);
	return refused(set);
}

SEC("lsm/bprm_check_security")
int allow_program(u64 *ctx)
{
	return started((void *)ctx[0], 0);
}

/* Where only the file system is asked before a program starts: what it is not asked about, or what became another after it
 * had answered, is ended before its first instruction. Of a script the interpreter is looked at. */
SEC("tp_btf/sched_process_exec")
int end_program(u64 *ctx)
{
	if (started((void *)ctx[2], 1))
		send_signal(SIGKILL);
	return 0;
}

/* ---- files ---- */

/* A name is made, changed or removed. */
NOINLINE int written(u64 dentry, struct vfsmount *mnt)
{
	u64 group = 0;
	struct set *set = set_of_task(&group);
	if (!set || !set->has_files)
		return 0;
	struct task_struct *task = current_task();
	u64 space = space_of(mnt);
	struct super_block *super = GET(mnt, mnt_sb);
	u64 magic = GET(super, s_magic);
	if (space == INTERNAL || magic == PROC_MAGIC || magic == SYSFS_MAGIC || magic == CGROUP_MAGIC || magic == CGROUP2_MAGIC ||
	    runs_runtime(task))
		return 0;
	struct look *look = ring_reserve(&refusals, sizeof(*look), 0);
	if (!look) {
		count(COUNT_UNTOLD);
		return refused(set);
	}
	begin(look, group, set, dentry, mnt, is_own(super, task, set->root));
	look->told.origin = UNKNOWN;
	look->told.because = WRITTEN;
	struct keys keys;
	int is_cut = find(look);
	/* Of a long path the beginning is enough. */
	make_key(&keys, look, set->number);
	if (!is_cut && map_lookup(&writable, &keys.bits)) {
		ring_discard(look, RING_NO_WAKEUP);
		return 0;
	}
	ring_submit(look, 0);
	return refused(set);
}

SEC("lsm/file_open")
int write_file(u64 *ctx)
{
	struct file *file = (void *)ctx[0];
	if (!(GET(file, f_mode) & WRITE_MODE))
		return 0;
	struct inode *inode = GET(file, f_inode);
	if ((GET(inode, i_mode) & S_IFMT) != S_IFREG)
		return 0;
	return written((u64)GET(file, f_path.dentry), GET(file, f_path.mnt));
}

SEC("lsm/path_truncate")
int write_truncate(u64 *ctx)
{
	struct path *path = (void *)ctx[0];
	return written((u64)GET(path, dentry), GET(path, mnt));
}

SEC("lsm/path_mknod")
int write_mknod(u64 *ctx)
{
	return written(ctx[1], GET((struct path *)ctx[0], mnt));
}

SEC("lsm/path_mkdir")
int write_mkdir(u64 *ctx)
{
	return written(ctx[1], GET((struct path *)ctx[0], mnt));
}

SEC("lsm/path_unlink")
int write_unlink(u64 *ctx)
{
	return written(ctx[1], GET((struct path *)ctx[0], mnt));
}

SEC("lsm/path_rmdir")
int write_rmdir(u64 *ctx)
{
	return written(ctx[1], GET((struct path *)ctx[0], mnt));
}

SEC("lsm/path_symlink")
int write_symlink(u64 *ctx)
{
	return written(ctx[1], GET((struct path *)ctx[0], mnt));
}

SEC("lsm/path_link")
int write_link(u64 *ctx)
{
	return written(ctx[2], GET((struct path *)ctx[1], mnt));
}

SEC("lsm/path_rename")
int write_rename(u64 *ctx)
{
	int from = written(ctx[1], GET((struct path *)ctx[0], mnt));
	return from ? from : written(ctx[3], GET((struct path *)ctx[2], mnt));
}
