/* The fields of kernel structures that the sensor reads, and no more.
 *
 * Names and types are the kernel's; where they lie is filled in when the program is loaded (CO-RE), so neither order
 * nor what is left out matters. A name with three underscores is another version of the same structure.
 * SPDX-License-Identifier: GPL-2.0 OR MIT */
#pragma once

#include "helpers.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct qstr { u32 hash; u32 len; const unsigned char *name; };
struct super_block { unsigned long s_magic; u32 s_dev; };
struct timespec64 { s64 tv_sec; s64 tv_nsec; };
struct inode {
	u16 i_mode;
	u32 i_nlink;
	u32 i_rdev;
	struct super_block *i_sb;
	unsigned long i_ino;
	s64 i_mtime_sec;
	s64 i_ctime_sec;
	u32 i_ctime_nsec;
};
/* 6.7 to 6.10; the second from 6.6 on */
struct inode___v67 { struct timespec64 __i_mtime; struct timespec64 __i_ctime; };
/* until 6.6; the second until 6.5 */
struct inode___old { struct timespec64 i_mtime; struct timespec64 i_ctime; };
struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
	struct super_block *d_sb;
};
struct vfsmount { struct dentry *mnt_root; struct super_block *mnt_sb; };
struct mount { struct mount *mnt_parent; struct dentry *mnt_mountpoint; struct vfsmount mnt; };
struct path { struct vfsmount *mnt; struct dentry *dentry; };
struct file {
	u32 f_mode;
	u32 f_flags;
	struct inode *f_inode;
	struct path f_path;
	void *private_data;
};
struct fdtable { u32 max_fds; struct file **fd; };
struct files_struct { struct fdtable *fdt; };
struct fs_struct { struct path root; struct path pwd; };

struct in6_addr { u8 in6_u[16]; };
struct sock_common {
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u16 skc_dport;
	u16 skc_num;
	u16 skc_family;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};
struct sock { struct sock_common __sk_common; u16 sk_protocol; u16 sk_type; };
struct socket { struct sock *sk; };
struct unix_sock { struct path path; struct sock *peer; };

typedef struct { u32 val; } kuid_t;
typedef struct { u64 val; } kernel_cap_t;
struct cred {
	kuid_t uid;
	kuid_t gid;
	kuid_t euid;
	kernel_cap_t cap_permitted;
	kernel_cap_t cap_effective;
	kernel_cap_t cap_bset;
};
struct cpu_vfs_cap_data { u32 magic_etc; kernel_cap_t permitted; };

struct ns_common { u32 inum; };
struct mnt_namespace { struct ns_common ns; };
struct nsproxy { struct mnt_namespace *mnt_ns; };
struct upid { s32 nr; };
struct pid { u32 level; struct upid numbers[1]; };
struct tty_driver { s32 major; s32 minor_start; };
struct tty_struct { s32 index; struct tty_driver *driver; };
typedef struct { s32 counter; } atomic_t;
struct signal_struct { atomic_t live; struct pid *pids[4]; struct tty_struct *tty; };
struct mm_struct { unsigned long arg_start; unsigned long arg_end; struct file *exe_file; };
struct kernfs_node { u64 id; const char *name; };
struct cgroup_subsys_state { struct cgroup_subsys_state *parent; };
struct cgroup_root { s32 hierarchy_id; };
struct cgroup { struct cgroup_subsys_state self; struct kernfs_node *kn; struct cgroup_root *root; };
struct css_set { struct cgroup *dfl_cgrp; };
struct thread_info { u32 status; };
struct seccomp { s32 mode; };
struct task_struct {
	struct thread_info thread_info;
	s32 pid;
	s32 tgid;
	s32 exit_code;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	u64 start_boottime;
	struct cred *cred;
	struct cred *real_cred;
	struct seccomp seccomp;
	kuid_t loginuid;
	char comm[16];
	struct fs_struct *fs;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	struct mm_struct *mm;
	struct css_set *cgroups;
};
struct linux_binprm { struct file *file; const char *filename; const char *interp; const char *fdpath; };
struct pt_regs {
	unsigned long r10, r9, r8, di, si, dx, cx, bx, bp, orig_ax;
};

#pragma clang attribute pop

/* What user space and the kernel exchange, laid out the same on both sides. */
struct timespec_user { s64 sec; s64 nsec; };
struct iovec_user { u64 base; u64 len; };
struct msghdr_user { u64 name; u32 namelen; u32 pad; u64 iov; u64 iovlen; };
