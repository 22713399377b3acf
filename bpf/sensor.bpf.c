/* What processes of containers do, told to user space.
 *
 * Only processes whose control group (version 2) is a container's are looked at; a container is a group named as
 * runtimes name them, or one below such a group. Nothing is judged and nothing is held up here. What could not be
 * sent is counted, for each container. x86-64 only: numbers of system calls come from user space (`calls`), but the
 * registers of the arguments are known here.
 * SPDX-License-Identifier: GPL-2.0 OR MIT */
#include "mini.h"
#include "record.h"

/* Its fields can be read as they are: the verifier knows what it points to. */
static struct task_struct *(*current_task_typed)(void) = (void *)158;

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Set when the program is loaded. */
volatile const u32 host_mounts = 0; /* inode number of the host's mount namespace */
volatile const u8 prompt = 0;       /* whether the reader is woken at once for what may be answered */
volatile const u8 all_reads = 0;    /* whether every open for reading is told, not only of watched names */
volatile const u8 profiling = 0;    /* whether what each container uses is kept (profile.h) */

/* Containers' control groups. As many as a machine can hold containers, with room for groups inside. */
struct { MAP_KIND(HASH); MAP_ENTRIES(16384); MAP_KEY(u64); MAP_VALUE(struct group); } groups SEC(".maps");
/* Runtimes on their way into a container, by process. When it is full, what they do is told as the container's. */
struct { MAP_KIND(HASH); MAP_ENTRIES(8192); MAP_KEY(u32); MAP_VALUE(struct entry); } entering SEC(".maps");
/* Name of a thread before its last change; the oldest are forgotten. */
struct { MAP_KIND(LRU_HASH); MAP_ENTRIES(8192); MAP_KEY(u32); MAP_VALUE(struct comm); } renamed SEC(".maps");
/* Processes whose use of the 32-bit entry has been told. */
struct { MAP_KIND(LRU_HASH); MAP_ENTRIES(8192); MAP_KEY(u64); MAP_VALUE(u8); } compat SEC(".maps");
/* Container of each process, so that one that leaves its group does not go unnoticed: none is forgotten before it ends, and if
 * there is no room for one, it counts as having left. And who started its program: its parent may be gone by the time it
 * does anything. */
struct { MAP_KIND(HASH); MAP_ENTRIES(131072); MAP_FLAGS(NO_PREALLOC); MAP_KEY(u32); MAP_VALUE(struct member); } members SEC(".maps");
/* What to do with each system call: 512 of the 64-bit entry, then 512 of the 32-bit entry. */
struct { MAP_KIND(ARRAY); MAP_ENTRIES(1024); MAP_KEY(u32); MAP_VALUE(struct call); } calls SEC(".maps");
/* Last part of a path, or of the folder that it is in, whose reading is told. */
struct { MAP_KIND(HASH); MAP_ENTRIES(1024); MAP_KEY(struct name); MAP_VALUE(u8); } names SEC(".maps");
struct { MAP_KIND(HASH); MAP_ENTRIES(1024); MAP_KEY(struct name); MAP_VALUE(u8); } folders SEC(".maps");
/* Names of programs that are held: stopped before their first instruction, until user space has judged them. */
struct { MAP_KIND(HASH); MAP_ENTRIES(1024); MAP_KEY(struct name); MAP_VALUE(u8); } holds SEC(".maps");
/* Sizes are set when the program is loaded. */
struct { MAP_KIND(RINGBUF); MAP_ENTRIES(1048576); } alerts SEC(".maps");
struct { MAP_KIND(RINGBUF); MAP_ENTRIES(4194304); } bulk SEC(".maps");
/* What no container can be blamed for: see enum tally. */
struct { MAP_KIND(ARRAY); MAP_ENTRIES(TALLIES); MAP_KEY(u32); MAP_VALUE(u64); } tallies SEC(".maps");
/* What each group used (profile.h). These have no entries unless profiles are made: sizes are set when the program is
 * loaded. */
struct { MAP_KIND(HASH); MAP_ENTRIES(16384); MAP_FLAGS(NO_PREALLOC); MAP_KEY(u64); MAP_VALUE(struct used); } used SEC(".maps");
struct { MAP_KIND(HASH); MAP_ENTRIES(262144); MAP_FLAGS(NO_PREALLOC); MAP_KEY(struct use_key); MAP_VALUE(u8); } uses SEC(".maps");
struct { MAP_KIND(RINGBUF); MAP_ENTRIES(1048576); } firsts SEC(".maps");
/* 512 of the 64-bit entry, then 512 of the 32-bit entry. */
struct { MAP_KIND(ARRAY); MAP_ENTRIES(1024); MAP_KEY(u32); MAP_VALUE(struct asked); } asked SEC(".maps");
struct { MAP_KIND(PERCPU_ARRAY); MAP_ENTRIES(1); MAP_KEY(u32); MAP_VALUE(struct used); } unused SEC(".maps");

/* Memory to build a record in, for each program that may interrupt another. */
struct scratch {
	struct record record;
	u64 args[8];
	u32 used;
	u32 at;
	struct dentry *dentry;
	struct dentry *top; /* of the mount */
	struct mount *mount;
	char path[4096 + 256];
};
struct { MAP_KIND(PERCPU_ARRAY); MAP_ENTRIES(5); MAP_KEY(u32); MAP_VALUE(struct scratch); } scratches SEC(".maps");
enum { FOR_EXEC, FOR_CALL, FOR_LIFE, FOR_PATHS, FOR_USE };
/* Where the paths of a call led, from the moment at which the kernel acts on them until the call returns; by thread. */
struct led { struct head head; u8 data[DATA_STEP * 2]; };
struct { MAP_KIND(LRU_HASH); MAP_ENTRIES(512); MAP_KEY(u64); MAP_VALUE(struct led); } led SEC(".maps");

INLINE void tally(u32 which)
{
	u64 *count = map_lookup(&tallies, &which);
	if (count)
		ADD(*count, 1);
}

INLINE u64 group_id(struct task_struct *task)
{
	return task->cgroups->dfl_cgrp->kn->id;
}

INLINE u32 mounts_of(struct task_struct *task)
{
	struct nsproxy *spaces = task->nsproxy;
	return spaces ? spaces->mnt_ns->ns.inum : 0;
}

#include "build.h"

/* From now on, what a group uses is kept. */
INLINE void used_begins(u64 id, u64 container, const char *name)
{
	u32 only = 0;
	struct used *new = profiling ? map_lookup(&unused, &only) : 0;
	if (!new)
		return;
	new->container = container;
	new->since = boot_time();
	__builtin_memset(new->id, 0, sizeof(new->id));
	if (name) {
		char text[96];
		long size = read_kernel_text(text, sizeof(text), name) - 1;
		if (size >= 70 && size <= 94) /* RUNTIME-ID.scope */
			size -= 6;
		if (size >= 64 && size <= 94)
			read_kernel(new->id, 64, name + size - 64);
	}
	if (map_update(&used, &id, new, NOEXIST))
		tally(GROUPS_FULL);
}

/* What a container does is not all seen any more. */
INLINE void not_all_seen(u64 container)
{
	struct used *use = profiling ? map_lookup(&used, &container) : 0;
	if (use)
		SET(use->flags, USED_LEFT);
}

INLINE void is_member(u32 pid, u64 container, u32 owner)
{
	struct member member = {container, owner};
	if (map_update(&members, &pid, &member, ANY))
		not_all_seen(container);
}

/* Whether a group is that of a container or below it, and what is done in it is kept. Deeper than this the kernel's own limits
 * are reached first, or it counts as outside. */
INLINE int is_inside(struct cgroup *group, u64 container)
{
	struct kernfs_node *node = GET(group, kn);
	u64 id = GET(node, id);
	if (!map_lookup(&groups, &id) || (profiling && !map_lookup(&used, &id)))
		return 0;
	for (int i = 0; i < 64; i++) {
		if (id == container)
			return 1;
		group = (void *)GET(group, self.parent);
		if (!group)
			return 0;
		node = GET(group, kn);
		id = GET(node, id);
	}
	return 0;
}

/* ---- the life of containers ---- */

/* Whether a group is named as runtimes name those of containers: 64 hexadecimal digits, alone or as
 * RUNTIME-DIGITS.scope. Groups of a container's monitor (libpod-conmon-…) are not. */
INLINE int is_container(const char *name)
{
	char text[96];
	char end[8];
	char id[64];
	char before[8];
	long size = read_kernel_text(text, sizeof(text), name);
	size -= 1;
	if (size < 64 || size > 94)
		return 0;
	read_kernel(end, 6, name + size - 6);
	if (end[0] == '.' && end[1] == 's' && end[2] == 'c' && end[3] == 'o' && end[4] == 'p' && end[5] == 'e')
		size -= 6;
	if (size < 64)
		return 0;
	read_kernel(id, 64, name + size - 64);
	for (int i = 0; i < 64; i++)
		if (!((id[i] >= '0' && id[i] <= '9') || (id[i] >= 'a' && id[i] <= 'f')))
			return 0;
	if (size == 64)
		return 1;
	if (size < 64 + 4)
		return 0;
	read_kernel(before, 1, name + size - 65);
	if (before[0] != '-')
		return 0;
	if (size < 64 + 7)
		return 1;
	read_kernel(before, 7, name + size - 64 - 7);
	return !(before[0] == 'c' && before[1] == 'o' && before[2] == 'n' && before[3] == 'm' && before[4] == 'o' &&
		 before[5] == 'n');
}

SEC("raw_tp/cgroup_mkdir")
int group_made(u64 *ctx)
{
	struct cgroup *made = (void *)ctx[0];
	struct cgroup_root *root = GET(made, root);
	if (GET(root, hierarchy_id) != 0)
		return 0;
	struct kernfs_node *node = GET(made, kn);
	u64 id = GET(node, id);
	/* The group's state is the first thing in it. */
	struct cgroup *above = (void *)GET(made, self.parent);
	struct kernfs_node *above_node = GET(above, kn);
	u64 above_id = GET(above_node, id);
	struct group *outer = map_lookup(&groups, &above_id);
	const char *name = GET(node, name);
	struct group new = {};
	int named = is_container(name);
	if (!named && !outer)
		return 0;
	new.container = named ? id : outer->container;
	new.root = named ? 0 : outer->root;
	if (map_update(&groups, &id, &new, NOEXIST))
		tally(GROUPS_FULL);
	used_begins(id, new.container, named ? name : 0);
	if (!named)
		return 0;
	struct scratch *s = begin(FOR_LIFE, 0, id, NEW);
	if (!s)
		return 0;
	s->record.head.args[0] = outer ? outer->container : 0;
	add_kernel_text(s, 0, name);
	add_kernel_text(s, 1, (void *)ctx[1]);
	send(s, 1);
	return 0;
}

SEC("raw_tp/cgroup_rmdir")
int group_gone(u64 *ctx)
{
	struct cgroup *gone = (void *)ctx[0];
	struct cgroup_root *root = GET(gone, root);
	if (GET(root, hierarchy_id) != 0)
		return 0;
	struct kernfs_node *node = GET(gone, kn);
	u64 id = GET(node, id);
	struct group *group = map_lookup(&groups, &id);
	if (!group)
		return 0;
	struct used *use = profiling ? map_lookup(&used, &id) : 0;
	if (use)
		use->gone = boot_time();
	struct scratch *s = begin(FOR_LIFE, 0, id, GONE);
	if (s) {
		s->record.head.args[0] = group->container;
		for (int kind = 0; kind < KINDS; kind++) {
			s->record.head.args[1] += group->sent[kind];
			s->record.head.args[2] += group->lost[kind];
		}
		map_delete(&groups, &id);
		send(s, 1);
		return 0;
	}
	map_delete(&groups, &id);
	return 0;
}

/* A process of a container is in a group that is not the container's: what it does is not seen any more. */
NOINLINE long left(struct task_struct *task, u64 container, u64 group, const char *path)
{
	not_all_seen(container);
	struct scratch *s = begin(FOR_LIFE, task, container, CALL);
	if (!s)
		return 0;
	s->record.head.call = LEFT_GROUP;
	s->record.head.args[0] = group;
	if (path)
		add_kernel_text(s, 0, path);
	return send(s, 1);
}

/* A task was moved into a group. Only a runtime, that is a process outside every container which moves a new one,
 * makes it "entering": what it does until it starts the container's program is not the container's. */
SEC("tp_btf/cgroup_attach_task")
int group_entered(u64 *ctx)
{
	struct cgroup *group = (void *)ctx[0];
	struct cgroup_root *root = GET(group, root);
	if (GET(root, hierarchy_id) != 0)
		return 0;
	struct kernfs_node *node = GET(group, kn);
	u64 id = GET(node, id);
	struct task_struct *task = (void *)ctx[2];
	u32 pid = GET(task, tgid);
	struct member *member = map_lookup(&members, &pid);
	if (member && !is_inside(group, member->container)) {
		left(task, member->container, id, (void *)ctx[1]);
		return 0;
	}
	if (!map_lookup(&groups, &id))
		return 0;
	u64 mover = current_cgroup();
	struct task_struct *current = current_task_typed();
	if (current == task || map_lookup(&groups, &mover))
		return 0;
	/* Nor is one that has been running, or is another's child in a container: that would go unseen. */
	struct task_struct *leader = task->group_leader;
	struct task_struct *parent = task->real_parent;
	u64 parent_group = group_id(parent);
	u64 now = boot_time();
	if (now - leader->start_boottime > ENTERING_TIME || map_lookup(&groups, &parent_group))
		return 0;
	struct entry new = {now + ENTERING_TIME, mounts_of(current)};
	map_update(&entering, &pid, &new, ANY);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int forked(u64 *ctx)
{
	struct task_struct *parent = (void *)ctx[0];
	struct task_struct *child = (void *)ctx[1];
	u64 id = group_id(child);
	struct group *group = map_lookup(&groups, &id);
	u32 pid = GET(parent, tgid);
	u64 from_group = group_id(parent);
	/* Made right outside of it (CLONE_INTO_CGROUP), by a process of a container. */
	struct member *maker = id == from_group ? 0 : map_lookup(&members, &pid);
	if (maker && !is_inside(child->cgroups->dfl_cgrp, maker->container))
		left(child, maker->container, id, 0);
	if (!group)
		return 0;
	u64 container = group->container;
	struct entry *from = map_lookup(&entering, &pid);
	struct entry new = {};
	if (from) {
		new = *from;
	} else {
		/* Made right in the container by a runtime outside (CLONE_INTO_CGROUP). */
		if (map_lookup(&groups, &from_group)) {
			struct member *known = map_lookup(&members, &pid);
			is_member(GET(child, tgid), container, known ? known->owner : pid);
			return 0;
		}
		new.until = boot_time() + ENTERING_TIME;
		new.mounts = mounts_of(parent);
	}
	pid = GET(child, tgid);
	map_update(&entering, &pid, &new, NOEXIST);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int ended(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct signal_struct *signal = GET(task, signal);
	if (GET(signal, live.counter) != 0)
		return 0;
	u32 pid = GET(task, tgid);
	u64 id = group_id(task);
	struct group *group = map_delete(&entering, &pid) ? map_lookup(&groups, &id) : 0;
	struct scratch *s = group ? begin(FOR_LIFE, task, group->container, EXIT) : 0;
	map_delete(&members, &pid);
	if (!s)
		return 0;
	s->record.head.result = GET(task, exit_code);
	send(s, 1);
	return 0;
}

/* ---- programs ---- */

SEC("raw_tp/task_rename")
int renaming(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	u64 id = current_cgroup();
	if (!map_lookup(&groups, &id))
		return 0;
	u32 tid = GET(task, pid);
	struct comm before;
	read_kernel(&before, 16, &task->comm);
	map_update(&renamed, &tid, &before, ANY);
	return 0;
}

enum { OVERLAY_MAGIC = 0x794c7630, TMPFS_MAGIC = 0x01021994, RAMFS_MAGIC = 0x858458f6 };

INLINE struct super_block *root_of(struct task_struct *task)
{
	struct fs_struct *fs = task->fs;
	return fs ? fs->root.mnt->mnt_sb : 0;
}

/* `root` is that of the container: the process may have taken another one, which came with no image. */
INLINE u32 origin(struct file *file, struct task_struct *task, u64 root)
{
	struct inode *inode = GET(file, f_inode);
	if (GET(inode, i_nlink) == 0)
		return MEMORY;
	struct super_block *super = GET(inode, i_sb);
	if (root ? GET(super, s_dev) != root : super != root_of(task))
		return MOUNTED;
	u64 magic = GET(super, s_magic);
	if (magic == TMPFS_MAGIC || magic == RAMFS_MAGIC)
		return MOUNTED;
	if (magic != OVERLAY_MAGIC)
		return UNKNOWN;
	/* An inode of overlayfs lies in a larger structure; what follows it, in every version since 4.13, is the entry
	 * of the file in the writable layer. The type is not in the kernel's BTF if overlayfs is a module. */
	void *upper = 0;
	read_kernel(&upper, 8, (void *)inode + __builtin_preserve_type_info(*(struct inode *)0, 1));
	return upper ? CHANGED : IMAGE;
}

INLINE s64 modified(struct inode *inode)
{
	struct inode___v67 *v67 = (void *)inode;
	struct inode___old *old = (void *)inode;
	if (HAS(inode, i_mtime_sec))
		return GET(inode, i_mtime_sec);
	if (HAS(v67, __i_mtime))
		return GET(v67, __i_mtime.tv_sec);
	if (HAS(old, i_mtime))
		return GET(old, i_mtime.tv_sec);
	return 0;
}

/* Whether a program of this name, or started under this name, is to be held. */
INLINE int is_held(struct task_struct *task, struct dentry *dentry)
{
	struct name name = {};
	read_kernel_text(&name, sizeof(name), GET(dentry, d_name.name));
	if (map_lookup(&holds, &name))
		return 1;
	struct name started = {};
	read_kernel_text(&started, 16, &task->comm);
	return map_lookup(&holds, &started) != 0;
}

SEC("tp_btf/sched_process_exec")
int executed(u64 *ctx)
{
	u64 id = current_cgroup();
	struct group *group = map_lookup(&groups, &id);
	if (!group)
		return 0;
	u64 container = group->container;
	struct task_struct *task = (void *)ctx[0];
	struct linux_binprm *program = (void *)ctx[2];
	u32 pid = GET(task, tgid);
	struct entry *from = map_lookup(&entering, &pid);
	if (from) {
		if (from->mounts == mounts_of(task) && from->until > boot_time())
			return 0;
		map_delete(&entering, &pid);
	}
	if (!group->root) {
		struct super_block *super = root_of(task);
		if (GET(super, s_magic) == OVERLAY_MAGIC)
			group->root = GET(super, s_dev);
	}
	is_member(pid, container, pid);
	struct scratch *s = begin(FOR_EXEC, task, container, EXEC);
	if (!s)
		return 0;
	struct head *h = &s->record.head;
	struct file *file = GET(program, file);
	struct inode *inode = GET(file, f_inode);
	h->args[0] = GET(inode, i_ino);
	h->args[1] = modified(inode);
	h->args[2] = origin(file, task, group->root);
	h->args[3] = network_streams(task);
	h->call = 59;
	if (HAS(program, fdpath) && GET(program, fdpath))
		h->call = 322;
	struct dentry *dentry = GET(file, f_path.dentry);
	add_path(s, 0, dentry, GET(file, f_path.mnt));
	struct fs_struct *fs = GET(task, fs);
	add_path(s, 1, GET(fs, pwd.dentry), GET(fs, pwd.mnt));
	add_kernel_text(s, 2, GET(program, filename));
	struct mm_struct *memory = GET(task, mm);
	u64 start = GET(memory, arg_start);
	/* Only this flag is of the arguments. */
	u8 cut = h->flags & CUT;
	h->flags &= ~CUT;
	add_user_bytes(s, 3, start, GET(memory, arg_end) - start);
	if (h->flags & CUT)
		h->flags |= ARGS_CUT;
	h->flags |= cut;
	u32 tid = GET(task, pid);
	struct comm *before = map_lookup(&renamed, &tid);
	if (before)
		add_kernel_text(s, 4, before);
	u64 key = (u64)h->pid;
	map_delete(&compat, &key);
	if (is_held(task, dentry) && send_signal(SIGSTOP) == 0)
		h->flags |= HELD;
	u8 held = h->flags & HELD;
	/* Nobody would ever let it go on. */
	if (send(s, 1) && held)
		send_signal(SIGCONT);
	return 0;
}

#include "calls.h"
#include "paths.h"
#include "profile.h"
