/* What a group of processes uses, as sets: each call, capability, file, peer and port is kept once, so that no load makes it
 * wrong. What has a name (a file, a peer) is told when it is used first; if there is no room to tell it, it is not kept,
 * and told when it is used again. Nothing is told of a runtime on its way into a container but the calls that it makes
 * after the container's filter is in place: those the filter must let through, too.
 * SPDX-License-Identifier: GPL-2.0 OR MIT */
#pragma once

/* What is remembered of one group. Of it so much is only for what it executes and where it listens: no storm of files, peers
 * and values takes that away. */
enum { FIRSTS_MAX = 32768, FIRSTS_KEPT = 8192 };
enum { FILTERED = 2, PROT_EXEC = 4, MAP_ANONYMOUS = 0x20, S_IFDIR = 0x4000, SOCKET_BYTES = 108, NAME_BYTES = 512 };
enum { PROC_MAGIC = 0x9fa0, SYSFS_MAGIC = 0x62656572, CGROUP_MAGIC = 0x27e0eb, CGROUP2_MAGIC = 0x63677270 };
/* Of so many messages that are sent at once it is looked whom they go to; more are a loss. */
enum { MESSAGES_MAX = 64 };
enum { CAP_SYS_ADMIN = 21, NO_AUDIT = 2, GIVES_RIGHTS = 1 };
/* New namespaces of whatever kind, of users, of times (which a clone asks for only by clone3). */
enum { NEW_SPACES = 0x7e020000, NEW_USERS = 0x10000000, NEW_TIME = 0x80 };

INLINE int is_entering(void)
{
	u32 pid = current_pid_tgid() >> 32;
	struct entry *entry = map_lookup(&entering, &pid);
	return entry && entry->until > boot_time();
}

INLINE u64 changed_at(struct inode *inode)
{
	struct inode___v67 *v67 = (void *)inode;
	struct inode___old *old = (void *)inode;
	if (HAS(inode, i_ctime_sec))
		return (u64)GET(inode, i_ctime_sec) * 1000000000 + GET(inode, i_ctime_nsec);
	if (HAS(v67, __i_ctime))
		return (u64)GET(v67, __i_ctime.tv_sec) * 1000000000 + GET(v67, __i_ctime.tv_nsec);
	if (HAS(old, i_ctime))
		return (u64)GET(old, i_ctime.tv_sec) * 1000000000 + GET(old, i_ctime.tv_nsec);
	return 0;
}

/* The record of something that is used for the first time; 0 if it is not. */
NOINLINE struct scratch *first(struct used *use, struct use_key *key)
{
	if (!use || map_lookup(&uses, key))
		return 0;
	u64 bit = 1ull << (key->use & 63);
	if (use->full & bit)
		return 0;
	u8 told = 1;
	u32 rare = key->use == EXECUTED || key->use == MAPPED || key->use == LISTENING;
	if (use->told >= FIRSTS_MAX - (rare ? 0 : FIRSTS_KEPT)) {
		SET(use->full, bit);
		return 0;
	}
	long failed = map_update(&uses, key, &told, NOEXIST);
	if (failed == -17) /* EEXIST: another processor tells it */
		return 0;
	if (failed) {
		SET(use->full, bit);
		return 0;
	}
	ADD(use->told, 1);
	struct task_struct *task = current_task_typed();
	struct scratch *s = begin(FOR_USE, task, use->container, FIRST);
	if (!s)
		return 0;
	s->record.head.call = key->use;
	return s;
}

/* Tells it, with the program that used it as the last text. */
NOINLINE long tell(struct scratch *s, struct used *use, struct use_key *key)
{
	if (!s || !use)
		return 0;
	struct task_struct *task = current_task_typed();
	struct mm_struct *memory = GET(task, mm);
	struct file *program = memory ? GET(memory, exe_file) : 0;
	if (program)
		add_path(s, 3, GET(program, f_path.dentry), GET(program, f_path.mnt));
	u32 size = s->used;
	if (size > DATA_STEP * 5)
		return 0;
	s->record.head.size = size;
	long failed = ring_output(&firsts, &s->record, sizeof(struct head) + size, batch(&firsts, size));
	if (failed) {
		map_delete(&uses, key);
		ADD(use->lost, 1);
		ADD(use->told, -1);
	}
	return 0;
}

/* A file, as it is now: one that was put in its place is another. */
NOINLINE long file_used(struct used *use, u64 id, struct file *file, u32 how)
{
	if (!use || !file)
		return 0;
	struct inode *inode = GET(file, f_inode);
	struct super_block *super = GET(inode, i_sb);
	u64 magic = GET(super, s_magic);
	if ((GET(inode, i_mode) & S_IFMT) == S_IFDIR)
		return 0;
	struct dentry *dentry = GET(file, f_path.dentry);
	struct use_key key = {.group = id, .use = how, .c = GET(super, s_dev)};
	if (how == WRITTEN) {
		/* By its name and folder: it changes with every writing. */
		struct dentry *folder = GET(dentry, d_parent);
		struct inode *above = GET(folder, d_inode);
		key.a = GET(above, i_ino);
		key.b = GET(dentry, d_name.hash) | (u64)GET(dentry, d_name.len) << 32;
	} else {
		/* What is read of the kernel's own file systems has the names of processes and devices in it. */
		if (how == READ && (magic == PROC_MAGIC || magic == SYSFS_MAGIC || magic == CGROUP_MAGIC || magic == CGROUP2_MAGIC))
			return 0;
		key.a = GET(inode, i_ino);
		key.b = changed_at(inode);
	}
	struct scratch *s = first(use, &key);
	if (!s)
		return 0;
	struct task_struct *task = current_task_typed();
	struct group *group = map_lookup(&groups, &id);
	s->record.head.args[0] = origin(file, task, group ? group->root : 0);
	add_path(s, 0, dentry, GET(file, f_path.mnt));
	return tell(s, use, &key);
}

/* A socket with a name in a folder. */
NOINLINE long socket_named(struct used *use, u64 id, struct sock *sock)
{
	struct unix_sock *end = (void *)sock;
	if (!use || !sock || !HAS(end, path.dentry))
		return 0;
	struct dentry *dentry = GET(end, path.dentry);
	if (!dentry) /* abstract */
		return 0;
	struct dentry *folder = GET(dentry, d_parent);
	struct inode *above = GET(folder, d_inode);
	struct super_block *super = GET(above, i_sb);
	struct use_key key = {.group = id, .use = WRITTEN, .c = GET(super, s_dev), .a = GET(above, i_ino)};
	key.b = GET(dentry, d_name.hash) | (u64)GET(dentry, d_name.len) << 32;
	struct scratch *s = first(use, &key);
	if (!s)
		return 0;
	add_path(s, 0, dentry, GET(end, path.mnt));
	return tell(s, use, &key);
}

/* ---- calls ---- */

/* A value that a call is given. */
NOINLINE long value_used(struct used *use, u64 id, u32 number, u64 value)
{
	struct use_key key = {.group = id, .a = number, .b = value, .use = ARGUMENT};
	struct scratch *s = first(use, &key);
	if (!s)
		return 0;
	s->record.head.args[0] = number;
	s->record.head.args[1] = value;
	return tell(s, use, &key);
}

SEC("tp_btf/sys_enter")
int call_used(u64 *ctx)
{
	u64 id = current_cgroup();
	struct used *use = map_lookup(&used, &id);
	if (!use)
		return 0;
	struct pt_regs *registers = (void *)ctx[0];
	struct task_struct *task = current_task_typed();
	u32 other = task->thread_info.status & TS_COMPAT;
	u32 number = ctx[1];
	if (number & X32 && number != (u32)-1 && !other) {
		/* The same calls by other numbers: a filter tells them apart. */
		if (!(use->flags & USED_X32) && !(is_entering() && GET(task, seccomp.mode) != FILTERED))
			SET(use->flags, USED_X32);
		return 0;
	}
	if (number >= 512)
		return 0;
	u32 index = number + (other ? 512 : 0);
	u64 bit = 1ull << (index & 63);
	u64 *word = &use->calls[(index >> 6) & 15];
	if (!(*word & bit)) {
		if (is_entering() && GET(task, seccomp.mode) != FILTERED)
			return 0;
		SET(*word, bit);
	}
	struct asked *what = map_lookup(&asked, &index);
	if (!what || !what->argument || is_entering())
		return 0;
	u64 value = 0;
	switch (what->argument) {
	case 1: value = other ? registers->bx : registers->di; break;
	case 2: value = other ? registers->cx : registers->si; break;
	case 3: value = registers->dx; break;
	case 4: value = other ? registers->si : registers->r10; break;
	case 5: value = other ? registers->di : registers->r8; break;
	default: value = other ? registers->bp : registers->r9;
	}
	value_used(use, id, what->number, value & what->mask);
	return 0;
}

/* ---- what calls did ---- */

/* Whom a socket talks to, or where it listens. */
NOINLINE long socket_used(struct used *use, u64 id, struct file *file, u32 how, u64 address)
{
	if (!use || !file)
		return 0;
	struct sock *sock = sock_of(file);
	if (!sock)
		return 0;
	u32 family = GET(sock, __sk_common.skc_family);
	u32 type = GET(sock, sk_type);
	u32 local = GET(sock, __sk_common.skc_num);
	u32 port = __builtin_bswap16(GET(sock, __sk_common.skc_dport));
	struct use_key key = {.group = id, .use = how};
	u16 given[4] = {};
	if (address)
		read_user(given, 8, (void *)address);
	if (family == AF_INET || family == AF_INET6) {
		if (how == LISTENING) {
			port = local;
		} else {
			if (family == AF_INET) {
				key.a = GET(sock, __sk_common.skc_daddr);
			} else if (HAS(sock, __sk_common.skc_v6_daddr)) {
				read_kernel(&key.a, 16, &sock->__sk_common.skc_v6_daddr);
			}
			/* Not connected, or a datagram: it goes where it is told to. Without a family it is IPv4 for a socket of that. */
			u32 told = given[0] ? given[0] : family == AF_INET ? AF_INET : 0;
			if (address && (!port || (type == SOCK_DGRAM && (told == AF_INET || told == AF_INET6)))) {
				port = __builtin_bswap16(given[1]);
				if (told == AF_INET) {
					family = AF_INET;
					key.a = 0;
					key.b = 0;
					read_user(&key.a, 4, (void *)(address + 4));
				} else if (told == AF_INET6) {
					read_user(&key.a, 16, (void *)(address + 8));
				}
			}
			if (!port)
				return 0;
		}
		key.c = port | type << 16 | family << 24;
		struct scratch *s = first(use, &key);
		if (!s)
			return 0;
		s->record.head.args[0] = family;
		s->record.head.args[1] = type;
		s->record.head.args[2] = port;
		s->record.head.args[3] = key.a;
		s->record.head.args[4] = key.b;
		return tell(s, use, &key);
	}
	if (family != AF_UNIX || !address || how == LISTENING)
		return 0;
	/* By its name: FNV-1a, twice. */
	char name[SOCKET_BYTES + 4] = {};
	if (read_user(name, SOCKET_BYTES, (void *)(address + 2)))
		return 0;
	key.a = 0xcbf29ce484222325;
	key.b = 0x9ae16a3b2f90404f;
	for (int i = 0; i < SOCKET_BYTES; i++) {
		if (i && !name[i] && name[0])
			break;
		key.a = (key.a ^ (u8)name[i]) * 0x100000001b3;
		key.b = (key.b + (u8)name[i]) * 0x100000001b3;
	}
	key.c = type << 16 | family << 24;
	struct scratch *s = first(use, &key);
	if (!s)
		return 0;
	s->record.head.args[0] = family;
	s->record.head.args[1] = type;
	add_user_bytes(s, 0, address + 2, SOCKET_BYTES);
	return tell(s, use, &key);
}

/* Whom one of many messages goes to. */
ONCE long message_sent(u64 id, u64 descriptor, u64 address)
{
	struct used *use = map_lookup(&used, &id);
	struct task_struct *task = current_task_typed();
	if (!use || !task)
		return 0;
	return socket_used(use, id, file_of(task, descriptor), PEER, address);
}

/* A name that was made, moved, removed or changed: as it was given, with the folder that it starts from. */
NOINLINE long name_used(struct used *use, u64 id, struct scratch *s, u8 text, u8 base)
{
	if (!use || !s)
		return 0;
	struct task_struct *task = current_task_typed();
	u64 from = argument(s, text);
	long size = from ? read_user_text(s->path, NAME_BYTES, (void *)from) : 0;
	if (size <= 1)
		return 0;
	if (size == NAME_BYTES) {
		ADD(use->lost, 1);
		return 0;
	}
	struct use_key key = {.group = id, .a = 0xcbf29ce484222325, .use = WRITTEN, .c = (u32)-1};
	for (int i = 0; i < NAME_BYTES; i++) {
		if (!s->path[i])
			break;
		key.a = (key.a ^ (u8)s->path[i]) * 0x100000001b3;
	}
	if (s->path[0] != '/') {
		s32 descriptor = base == WORKING_FOLDER ? AT_FDCWD : (s32)argument(s, base);
		struct fs_struct *fs = GET(task, fs);
		struct file *file = descriptor == AT_FDCWD ? 0 : file_of(task, descriptor);
		struct dentry *folder = file ? GET(file, f_path.dentry) : GET(fs, pwd.dentry);
		struct inode *inode = GET(folder, d_inode);
		key.b = GET(inode, i_ino);
	}
	/* `first` builds in the same memory. */
	u64 args[6];
	for (int i = 0; i < 6; i++)
		args[i] = s->args[i];
	s = first(use, &key);
	if (!s)
		return 0;
	for (int i = 0; i < 6; i++)
		s->args[i] = args[i];
	add_given(s, 0, task, text, base);
	return tell(s, use, &key);
}

SEC("tp_btf/sys_exit")
int result_used(u64 *ctx)
{
	u64 id = current_cgroup();
	struct used *use = map_lookup(&used, &id);
	if (!use)
		return 0;
	struct pt_regs *registers = (void *)ctx[0];
	s64 result = ctx[1];
	struct task_struct *task = current_task_typed();
	u32 other = task->thread_info.status & TS_COMPAT;
	u32 number = registers->orig_ax;
	u32 x32 = number & X32 && number != (u32)-1 && !other;
	if (other)
		result = (s32)result;
	if (x32) {
		number &= ~X32;
		if (result == -1 || result == -38) {
			if (!is_entering())
				SET(use->flags, REFUSED_X32);
			return 0;
		}
		/* Numbers of its own, for calls that are given structures of its own. */
		if (number >= 512)
			ADD(use->lost, 1);
	}
	if (number >= 512)
		return 0;
	if (result == -1 || result == -38) { /* EPERM, ENOSYS: a filter lets no call through to where it is counted */
		u32 index = number + (other ? 512 : 0);
		u64 bit = 1ull << (index & 63);
		if (!(use->calls[(index >> 6) & 15] & bit) && !(use->refused_calls[(index >> 6) & 15] & bit) && !is_entering())
			SET(use->refused_calls[(index >> 6) & 15], bit);
		return 0;
	}
	u64 arg[5] = {registers->di, registers->si, registers->dx, registers->r10, registers->r8};
	if (other) {
		struct call *call = call_of(number, other);
		arg[0] = (u32)registers->bx;
		arg[1] = (u32)registers->cx;
		arg[2] = (u32)registers->dx;
		arg[3] = (u32)registers->si;
		arg[4] = (u32)registers->di;
		number = number == 192 ? 9 : call ? call->number : 511; /* mmap2 */
	}
	u32 which = FOR_USE;
	struct scratch *s = map_lookup(&scratches, &which);
	if (!s)
		return 0;
	for (int i = 0; i < 5; i++)
		s->args[i] = arg[i];
	switch (number) {
	case 2:   /* open */
	case 85:  /* creat */
	case 257: /* openat */
	case 304: /* open_by_handle_at */
	case 437: { /* openat2 */
		struct file *file = result < 0 || is_entering() ? 0 : file_of(task, result);
		u32 mode = file ? GET(file, f_mode) : PATH_MODE;
		if (mode & PATH_MODE)
			return 0;
		if (mode & (WRITE_MODE | CREATED_MODE))
			file_used(use, id, file, WRITTEN);
		if (mode & 1)
			file_used(use, id, file, READ);
		return 0;
	}
	case 9: /* mmap */
		if ((u64)result < (u64)-4096 && arg[2] & PROT_EXEC && !(arg[3] & MAP_ANONYMOUS) && !is_entering())
			file_used(use, id, file_of(task, arg[4]), MAPPED);
		return 0;
	case 42: /* connect; whether it comes about shows later */
		if (!is_entering())
			socket_used(use, id, file_of(task, arg[0]), PEER, arg[1]);
		return 0;
	case 44: /* sendto */
		if (result >= 0 && arg[4])
			socket_used(use, id, file_of(task, arg[0]), PEER, arg[4]);
		return 0;
	case 307: /* sendmmsg */
	case 46: { /* sendmsg */
		if (result < 0)
			return 0;
		u32 count = number == 46 ? 1 : result;
		/* `struct mmsghdr`, and `struct compat_mmsghdr`: the name comes first. */
		u32 size = other ? 32 : 64;
		for (u32 i = 0; i < MESSAGES_MAX; i++) {
			if (i >= count)
				break;
			u64 name = 0;
			u32 short_name = 0;
			void *from = (void *)(arg[1] + i * size);
			long failed = other ? read_user(&short_name, 4, from) : read_user(&name, 8, from);
			if (failed)
				ADD(use->lost, 1);
			else if (name | short_name)
				message_sent(id, arg[0], name | short_name);
		}
		if (count > MESSAGES_MAX)
			ADD(use->lost, 1);
		return 0;
	}
	case 49: { /* bind: for datagrams, what listen is for streams */
		struct file *file = result == 0 ? file_of(task, arg[0]) : 0;
		struct sock *sock = file ? sock_of(file) : 0;
		if (sock && GET(sock, sk_type) == SOCK_DGRAM)
			socket_used(use, id, file, LISTENING, 0);
		if (sock && GET(sock, __sk_common.skc_family) == AF_UNIX && !is_entering())
			socket_named(use, id, sock);
		return 0;
	}
	case 76: case 83: case 84: case 87: case 90: case 92: case 94: /* truncate, mkdir, rmdir, unlink, chmod, chown, lchown */
	case 132: case 133: case 188: case 189: case 197: case 198: case 235: /* utime, mknod, (l)setxattr, (l)removexattr, utimes */
		if (result >= 0 && !is_entering())
			name_used(use, id, s, 0, WORKING_FOLDER);
		return 0;
	case 258: case 259: case 260: case 263: case 268: case 280: case 452: /* mkdirat, mknodat, fchownat, unlinkat, fchmodat, utimensat, fchmodat2 */
		if (result >= 0 && !is_entering())
			name_used(use, id, s, 1, 0);
		return 0;
	case 82: /* rename */
	case 86: case 88: /* link, symlink */
		if (result < 0 || is_entering())
			return 0;
		if (number == 82)
			name_used(use, id, s, 0, WORKING_FOLDER);
		for (int i = 0; i < 5; i++)
			s->args[i] = arg[i];
		name_used(use, id, s, 1, WORKING_FOLDER);
		return 0;
	case 264: case 316: case 265: /* renameat, renameat2, linkat */
		if (result < 0 || is_entering())
			return 0;
		if (number != 265)
			name_used(use, id, s, 1, 0);
		for (int i = 0; i < 5; i++)
			s->args[i] = arg[i];
		name_used(use, id, s, 3, 2);
		return 0;
	case 266: /* symlinkat */
		if (result >= 0 && !is_entering())
			name_used(use, id, s, 2, 1);
		return 0;
	case 77: case 91: case 93: case 190: case 199: /* ftruncate, fchmod, fchown, fsetxattr, fremovexattr */
		if (result >= 0 && !is_entering())
			file_used(use, id, file_of(task, arg[0]), WRITTEN);
		return 0;
	case 50: /* listen */
		if (result == 0)
			socket_used(use, id, file_of(task, arg[0]), LISTENING, 0);
		return 0;
	}
	return 0;
}

/* ---- programs ---- */

SEC("tp_btf/sched_process_exec")
int program_used(u64 *ctx)
{
	u64 id = current_cgroup();
	struct used *use = map_lookup(&used, &id);
	if (!use)
		return 0;
	struct task_struct *task = (void *)ctx[0];
	struct linux_binprm *program = (void *)ctx[2];
	u32 pid = GET(task, tgid);
	struct entry *from = map_lookup(&entering, &pid);
	if (from && from->mounts == mounts_of(task) && from->until > boot_time())
		return 0;
	struct file *file = GET(program, file);
	struct inode *inode = GET(file, f_inode);
	struct super_block *super = GET(inode, i_sb);
	struct use_key key = {.group = id, .a = GET(inode, i_ino), .b = changed_at(inode), .c = GET(super, s_dev), .use = EXECUTED};
	const char *name = GET(program, filename);
	const char *run = GET(program, interp);
	/* A script: each counts, not only what reads it. It is gone by now; its name is not, and where that begins. */
	u32 which = FOR_USE;
	struct scratch *room = map_lookup(&scratches, &which);
	if (name != run && room) {
		u64 hash = 0xcbf29ce484222325;
		read_kernel_text(room->path, NAME_BYTES, name);
		for (int i = 0; i < NAME_BYTES; i++) {
			if (!room->path[i])
				break;
			hash = (hash ^ (u8)room->path[i]) * 0x100000001b3;
		}
		if (room->path[0] != '/') {
			struct fs_struct *fs = GET(task, fs);
			struct dentry *folder = GET(fs, pwd.dentry);
			struct inode *start = GET(folder, d_inode);
			struct super_block *on = GET(start, i_sb);
			hash = (hash ^ GET(start, i_ino)) * 0x100000001b3;
			hash = (hash ^ GET(on, s_dev)) * 0x100000001b3;
		}
		key.b ^= hash;
	}
	struct scratch *s = first(use, &key);
	if (!s)
		return 0;
	struct group *group = map_lookup(&groups, &id);
	s->record.head.args[0] = origin(file, task, group ? group->root : 0);
	add_path(s, 0, GET(file, f_path.dentry), GET(file, f_path.mnt));
	if (name != run) {
		add_kernel_text(s, 1, name);
		struct fs_struct *fs = GET(task, fs);
		add_path(s, 2, GET(fs, pwd.dentry), GET(fs, pwd.mnt));
	}
	tell(s, use, &key);
	return 0;
}

/* ---- capabilities ---- */

INLINE int capability_asked(struct cred *of, u64 capability, u32 refused)
{
	u64 id = current_cgroup();
	struct used *use = map_lookup(&used, &id);
	if (!use || capability > 63)
		return 0;
	struct task_struct *task = current_task_typed();
	/* A file system asks in the name of whoever mounted it. */
	if ((u64)of != (u64)GET(task, real_cred))
		return 0;
	u64 bit = 1ull << capability;
	if ((refused ? use->refused_capabilities : use->capabilities) & bit || is_entering())
		return 0;
	if (refused)
		SET(use->refused_capabilities, bit);
	else
		SET(use->capabilities, bit);
	return 0;
}

/* Whether a new process asks for namespaces that only CAP_SYS_ADMIN gives: without a new one of users, in which it would
 * have that. */
INLINE int takes_spaces(u64 flags)
{
	return flags & NEW_SPACES && !(flags & NEW_USERS);
}

/* Whether the kernel asks for CAP_SYS_ADMIN only to count memory: it does for everybody who takes some. */
INLINE int counts_memory(u64 capability)
{
	if (capability != CAP_SYS_ADMIN)
		return 0;
	struct pt_regs *registers = registers_of(current_task_typed());
	u64 flags = 0;
	switch (GET(registers, orig_ax)) {
	case (u64)-1: /* a fault */
	case 9: case 10: case 11: case 12: case 25: /* mmap, mprotect, munmap, brk, mremap */
	case 57: case 58: case 59: case 322: /* fork, vfork, execve, execveat */
		return 1;
	case 56: /* clone */
		return !takes_spaces(GET(registers, di));
	case 435: /* clone3: its flags come first in memory */
		read_user(&flags, sizeof(flags), (void *)GET(registers, di));
		return !takes_spaces(flags | (flags & NEW_TIME ? NEW_SPACES & ~NEW_USERS : 0));
	}
	return 0;
}

/* What the file of a program has to give, as the kernel reads it before that is executed. A file that gives rights by itself
 * is not executed at all where one of them cannot be given, whether it uses them or not. */
SEC("fexit/get_vfs_caps_from_disk")
int rights_of_file(u64 *ctx)
{
	u64 id = current_cgroup();
	struct used *use = map_lookup(&used, &id);
	struct cpu_vfs_cap_data *data = (void *)ctx[2];
	if (!use || (s32)ctx[3] || !(GET(data, magic_etc) & GIVES_RIGHTS))
		return 0;
	struct task_struct *task = current_task_typed();
	struct pt_regs *registers = registers_of(task);
	u64 number = GET(registers, orig_ax);
	/* execve, execveat: others look, too. */
	if (task->thread_info.status & TS_COMPAT ? number != 11 && number != 358 : number != 59 && number != 322)
		return 0;
	/* The first program of a container is executed by what made it. */
	u32 pid = GET(task, tgid);
	struct entry *from = map_lookup(&entering, &pid);
	if (from && from->mounts == mounts_of(task) && from->until > boot_time())
		return 0;
	struct cred *cred = GET(task, cred);
	u64 rights = 0, may = 0;
	read_kernel(&rights, sizeof(rights), &data->permitted);
	read_kernel(&may, sizeof(may), &cred->cap_bset);
	if (rights & ~may)
		SET(use->refused_capabilities, rights & ~may);
	else
		SET(use->capabilities, rights);
	return 0;
}

SEC("tp_btf/cap_capable")
int capability_used(u64 *ctx)
{
	u64 capability = (u32)ctx[3];
	if (counts_memory(capability))
		return 0;
	return capability_asked((void *)ctx[0], capability, (s32)ctx[4] != 0);
}

/* The same for kernels without that. */
SEC("kprobe/cap_capable")
int capability_probed(struct pt_regs *ctx)
{
	struct cred *cred = (void *)GET(ctx, di);
	u64 capability = (u32)GET(ctx, dx);
	if (GET(ctx, cx) & NO_AUDIT)
		return 0;
	/* Two halves or one number, in the order of the bits. */
	u64 held = 0;
	read_kernel(&held, sizeof(held), &cred->cap_effective);
	return capability_asked(cred, capability, !(held >> (capability & 63) & 1));
}
