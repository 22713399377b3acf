/* Where the paths of a call led, asked where the kernel acts on them: no link, folder or memory of the process can be
 * exchanged behind that. What is found waits for the call to return (calls.h). Kernels without probes, or without
 * modules for security that look at paths, tell what was given; user space looks where it leads (resolve.rs).
 * SPDX-License-Identifier: GPL-2.0 OR MIT */
#pragma once

static struct pt_regs *(*registers_of)(struct task_struct *task) = (void *)175;

/* The record for the paths of the call that this thread of a container makes; 0 if it makes none that is told so. */
INLINE struct scratch *paths_begin(void)
{
	u64 id = current_cgroup();
	if (!map_lookup(&groups, &id))
		return 0;
	struct task_struct *task = current_task_typed();
	struct pt_regs *registers = registers_of(task);
	struct call *call = call_of(GET(registers, orig_ax), task->thread_info.status & TS_COMPAT);
	if (!call || call->kind != PATH)
		return 0;
	u32 which = FOR_PATHS;
	struct scratch *s = map_lookup(&scratches, &which);
	if (!s)
		return 0;
	s->used = 0;
	__builtin_memset(&s->record.head, 0, sizeof(s->record.head));
	return s;
}

INLINE int paths_end(struct scratch *s)
{
	u64 thread = current_pid_tgid();
	map_update(&led, &thread, &s->record, ANY);
	return 0;
}

/* A name in a folder. */
INLINE void add_entry(struct scratch *s, u32 index, struct path *folder, u64 dentry)
{
	add_path(s, index, (void *)dentry, GET(folder, mnt));
}

SEC("kprobe/security_path_rename")
int path_renamed(struct pt_regs *ctx)
{
	struct scratch *s = paths_begin();
	if (!s)
		return 0;
	add_entry(s, 0, (void *)GET(ctx, di), GET(ctx, si));
	add_entry(s, 2, (void *)GET(ctx, dx), GET(ctx, cx));
	return paths_end(s);
}

SEC("kprobe/security_path_link")
int path_linked(struct pt_regs *ctx)
{
	struct scratch *s = paths_begin();
	if (!s)
		return 0;
	/* A link stays on its mount. */
	struct path *folder = (void *)GET(ctx, si);
	add_entry(s, 0, folder, GET(ctx, di));
	add_entry(s, 2, folder, GET(ctx, dx));
	return paths_end(s);
}

SEC("kprobe/security_path_symlink")
int path_symlinked(struct pt_regs *ctx)
{
	struct scratch *s = paths_begin();
	if (!s)
		return 0;
	add_kernel_text(s, 0, (void *)GET(ctx, dx));
	add_entry(s, 2, (void *)GET(ctx, di), GET(ctx, si));
	return paths_end(s);
}

SEC("kprobe/security_path_unlink")
int path_unlinked(struct pt_regs *ctx)
{
	struct scratch *s = paths_begin();
	if (!s)
		return 0;
	add_entry(s, 0, (void *)GET(ctx, di), GET(ctx, si));
	return paths_end(s);
}

SEC("kprobe/security_path_truncate")
int path_truncated(struct pt_regs *ctx)
{
	struct scratch *s = paths_begin();
	if (!s)
		return 0;
	struct path *path = (void *)GET(ctx, di);
	add_path(s, 0, GET(path, dentry), GET(path, mnt));
	return paths_end(s);
}

/* The name of the attribute; layers of a file system ask this again, with the same. */
SEC("kprobe/security_inode_setxattr")
int attribute_set(struct pt_regs *ctx)
{
	struct scratch *s = paths_begin();
	if (!s)
		return 0;
	add_kernel_text(s, 2, (void *)GET(ctx, dx));
	return paths_end(s);
}
