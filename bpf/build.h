/* Building a record and sending it. Included by sensor.bpf.c, whose maps it uses.
 * SPDX-License-Identifier: GPL-2.0 OR MIT */
#pragma once

/* An empty record about a task. */
NOINLINE struct scratch *begin(u32 which, struct task_struct *task, u64 group, u32 kind)
{
	struct scratch *s = map_lookup(&scratches, &which);
	if (!s)
		return 0;
	struct head *h = &s->record.head;
	__builtin_memset(h, 0, sizeof(*h));
	s->used = 0;
	h->at = boot_time();
	h->group = group;
	h->kind = kind;
	if (!task)
		return s;
	h->pid = task->tgid;
	h->tid = task->pid;
	struct task_struct *leader = task->group_leader;
	h->started = leader->start_boottime;
	struct task_struct *parent = task->real_parent;
	h->parent = parent->tgid;
	struct cred *cred = task->cred;
	/* Never so; but verifiers of kernels whose types say that it is replaced under readers (__rcu) want to see it. */
	if (!cred)
		return s;
	h->uid = cred->uid.val;
	h->gid = cred->gid.val;
	h->euid = cred->euid.val;
	read_kernel(&h->effective, 8, &cred->cap_effective);
	read_kernel(&h->comm, 16, &task->comm);
	u32 tgid = h->pid;
	struct member *member = map_lookup(&members, &tgid);
	if (member)
		h->owner = member->owner;
	if (host_mounts && mounts_of(task) == host_mounts)
		h->flags |= HOST_MOUNTS;
	/* What does not change between two programs is told with what is rarer than opening files. */
	if (kind == OPEN)
		return s;
	struct pid *pid = leader->thread_pid;
	u32 level = pid->level;
	if (level < 33) /* MAX_PID_NS_LEVEL */
		read_kernel(&h->inner_pid, 4, (void *)&pid->numbers + level * 16);
	read_kernel(&h->permitted, 8, &cred->cap_permitted);
	h->login_uid = HAS(task, loginuid) ? task->loginuid.val : (u32)-1;
	struct signal_struct *signal = task->signal;
	struct pid *session = GET(signal, pids[3]);
	read_kernel(&h->session, 4, &session->numbers);
	struct tty_struct *tty = signal->tty;
	if (tty) {
		struct tty_driver *driver = tty->driver;
		u32 minor = driver->minor_start + tty->index;
		h->tty = (minor & 0xff) | ((u32)driver->major << 8) | ((minor & ~0xffu) << 12);
	}
	return s;
}

INLINE void took(struct scratch *s, u32 index, long size)
{
	if (size < 0) {
		s->record.head.flags |= CUT;
		size = 0;
	}
	s->record.head.lengths[index & 7] = size;
	s->used += size;
}

/* Text of the process. */
NOINLINE long add_user_text(struct scratch *s, u32 index, u64 from)
{
	u32 used = s->used;
	if (used > DATA_STEP * 4 || !from)
		return 0;
	long size = read_user_text(&s->record.data[used], DATA_STEP, (void *)from);
	if (size == DATA_STEP)
		s->record.head.flags |= CUT;
	took(s, index, size > 0 ? size - 1 : size);
	return 0;
}

/* Bytes of the process, at most DATA_STEP. */
NOINLINE long add_user_bytes(struct scratch *s, u32 index, u64 from, u64 size)
{
	u32 used = s->used;
	if (used > DATA_STEP * 4 || !from || !size)
		return 0;
	if (size > DATA_STEP) {
		size = DATA_STEP;
		s->record.head.flags |= CUT;
	}
	OPAQUE(size);
	if (size > DATA_STEP)
		return 0;
	took(s, index, read_user(&s->record.data[used], size, (void *)from) < 0 ? -1 : (long)size);
	return 0;
}

NOINLINE long add_kernel_text(struct scratch *s, u32 index, const void *from)
{
	u32 used = s->used;
	if (used > DATA_STEP * 4 || !from)
		return 0;
	long size = read_kernel_text(&s->record.data[used], DATA_STEP, from);
	took(s, index, size > 0 ? size - 1 : size);
	return 0;
}

/* One step of a walk towards the root; 0 when it is over. State is in memory, or the verifier would follow each
 * combination of it. */
INLINE int step(struct scratch *s)
{
	struct dentry *dentry = s->dentry;
	struct mount *mount = s->mount;
	/* One by one: a kernel may lay its fields out in an order of its own (RANDSTRUCT). */
	struct dentry *parent = GET(dentry, d_parent);
	if (dentry == s->top || dentry == parent) {
		struct mount *above = GET(mount, mnt_parent);
		if (above == mount || !above)
			return 0;
		s->dentry = GET(mount, mnt_mountpoint);
		s->mount = above;
		s->top = GET(above, mnt.mnt_root);
		return 1;
	}
	u32 size = GET(dentry, d_name.len);
	if (size > 255)
		size = 255;
	u32 at = s->at;
	if (at > 4096 || at < size + 1 || !parent) {
		s->record.head.flags |= CUT;
		return 0;
	}
	at -= size + 1;
	at &= 4095;
	OPAQUE(size);
	size &= 255;
	s->path[at] = '/';
	read_kernel(&s->path[at + 1], size, GET(dentry, d_name.name));
	s->at = at;
	s->dentry = parent;
	return 1;
}

/* The path of a file as its mount namespace has it, through every mount up to the root: a changed root cannot fake
 * it. Of a path with more parts than steps the last ones are kept, without the first slash. */
ONCE long add_path_of(struct scratch *s, u32 index, u64 of, u64 on)
{
	struct dentry *dentry = (void *)of;
	struct vfsmount *mnt = (void *)on;
	if (!s || !dentry || !mnt)
		return 0;
	/* What is in no folder (a pipe, a socket, memory) has a name at most. */
	s->top = GET(mnt, mnt_root);
	if (dentry != s->top && dentry == GET(dentry, d_parent))
		return add_kernel_text(s, index, GET(dentry, d_name.name));
	s->dentry = dentry;
	s->mount = (void *)mnt - __builtin_preserve_field_info(((struct mount *)0)->mnt, 0);
	s->at = 4096;
	u32 steps = 0;
	for (; steps < PATH_STEPS; steps++)
		if (!step(s))
			break;
	u32 at = s->at;
	if (steps == PATH_STEPS) {
		s->record.head.flags |= CUT;
		at++;
	}
	if (at == 4096) {
		at--;
		s->path[at] = '/';
	}
	u32 used = s->used;
	if (at >= 4096 || used > DATA_STEP * 4)
		return 0;
	u32 size = 4096 - at;
	OPAQUE(size);
	if (size > DATA_STEP)
		return 0;
	read_kernel(&s->record.data[used], size, &s->path[at]);
	took(s, index, size);
	return 0;
}

INLINE long add_path(struct scratch *s, u32 index, struct dentry *dentry, struct vfsmount *mnt)
{
	return add_path_of(s, index, (u64)dentry, (u64)mnt);
}

/* Only the record that fills the batch wakes: a reader that is behind is awake. */
INLINE u64 batch(void *ring, u32 size)
{
	u64 pending = ring_query(ring, RING_PENDING);
	u64 after = pending + sizeof(struct head) + size;
	return pending < BATCH && after >= BATCH ? RING_FORCE_WAKEUP : RING_NO_WAKEUP;
}

/* Whether the reader is woken: waking costs whoever does it more than telling. It looks by itself every 20 ms. */
INLINE u64 wakes(void *ring, struct scratch *s, u32 size)
{
	u8 kind = s->record.head.kind;
	if (kind == NEW || (s->record.head.flags & HELD) || (prompt && kind != EXIT))
		return 0;
	return batch(ring, size);
}

/* Sends what was built. Counts it for the group, sent or lost; not 0 if it was lost. */
NOINLINE long send(struct scratch *s, u32 urgent)
{
	u64 group = s->record.head.group;
	u32 kind = s->record.head.kind;
	u32 size = s->used;
	long failed;
	if (size > DATA_STEP * 5)
		return 0;
	s->record.head.size = size;
	if (urgent) {
		/* Half of the ring is kept for programs and the life of containers: one that floods it with calls cannot
		 * hide what others start. */
		if (kind >= OPEN && ring_query(&alerts, RING_PENDING) > ring_query(&alerts, RING_SIZE) / 2)
			failed = -1;
		else
			failed = ring_output(&alerts, &s->record, sizeof(struct head) + size, wakes(&alerts, s, size));
	} else {
		failed = ring_output(&bulk, &s->record, sizeof(struct head) + size, batch(&bulk, size));
	}
	struct group *g = map_lookup(&groups, &group);
	if (g && kind < KINDS) {
		if (failed)
			ADD(g->lost[kind], 1);
		else
			ADD(g->sent[kind], 1);
	} else if (failed) {
		tally(LIFE_LOST);
	}
	return failed;
}

INLINE struct file *file_of(struct task_struct *task, u32 descriptor)
{
	struct files_struct *files = task->files;
	if (!files)
		return 0;
	struct fdtable *table = files->fdt;
	if (!table || descriptor >= table->max_fds)
		return 0;
	struct file **array = table->fd;
	struct file *file = 0;
	read_kernel(&file, 8, &array[descriptor]);
	return file;
}

enum { S_IFMT = 0xf000, S_IFSOCK = 0xc000, S_IFREG = 0x8000, S_IFCHR = 0x2000, S_ISUID = 0x800, NULL_DEVICE = 1 << 20 | 3 };
enum { AF_UNIX = 1, AF_INET = 2, AF_INET6 = 10, SOCK_STREAM = 1, SOCK_DGRAM = 2 };

/* The socket behind a file; 0 if it is none. */
INLINE struct sock *sock_of(struct file *file)
{
	struct inode *inode = GET(file, f_inode);
	if ((GET(inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	struct socket *socket = GET(file, private_data);
	return GET(socket, sk);
}

/* Which of the three standard streams are connections of the internet, a bit for each. */
INLINE u32 network_streams(struct task_struct *task)
{
	u32 found = 0;
	for (u32 i = 0; i < 3; i++) {
		struct file *file = file_of(task, i);
		struct sock *sock = file ? sock_of(file) : 0;
		u32 family = sock ? GET(sock, __sk_common.skc_family) : 0;
		if (family == AF_INET || family == AF_INET6)
			found |= 1 << i;
	}
	return found;
}
