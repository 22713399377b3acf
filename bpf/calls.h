/* System calls, told when they return: what they were given is in memory by then, and what they did is known.
 * SPDX-License-Identifier: GPL-2.0 OR MIT */
#pragma once

enum { AT_FDCWD = -100, TS_COMPAT = 2, X32 = 0x40000000, THIRTY_TWO = 1023 };
enum { WRITE_MODE = 2, PATH_MODE = 0x4000, CREATED_MODE = 0x100000 };
/* Opens what no path leads to: out of a container (CVE-2014-3519 and its like). */
enum { OPEN_BY_HANDLE = 304 };
enum { O_TMPFILE = 0x400000 };
enum { DNS = 53, DNS_BYTES = 512 };
enum { CONNECT = 42, MSG_FASTOPEN = 0x20000000 };

INLINE u64 argument(struct scratch *s, u8 number)
{
	return s->args[number & 7];
}

/* The folder that a relative path starts from. */
NOINLINE long add_base(struct scratch *s, u32 index, struct task_struct *task, u8 number)
{
	if (number == NO_ARGUMENT)
		return 0;
	s32 descriptor = argument(s, number);
	if (number == WORKING_FOLDER || descriptor == AT_FDCWD) {
		struct fs_struct *fs = GET(task, fs);
		return add_path(s, index, GET(fs, pwd.dentry), GET(fs, pwd.mnt));
	}
	struct file *file = file_of(task, descriptor);
	return file ? add_path(s, index, GET(file, f_path.dentry), GET(file, f_path.mnt)) : 0;
}

/* The file behind a path that is a name of one of the process's own descriptors; 0 if it is none. */
NOINLINE long add_descriptor(struct scratch *s, u32 index, struct task_struct *task, u64 from)
{
	static const char descriptors[] = "/proc/self/fd/";
	enum { BEFORE = sizeof(descriptors) - 1, DIGITS = 7 };
	char text[BEFORE + DIGITS + 2] = {};
	if (read_user_text(text, sizeof(text), (void *)from) < 0)
		return 0;
	for (int i = 0; i < BEFORE; i++)
		if (text[i] != descriptors[i])
			return 0;
	u32 number = 0;
	for (int i = BEFORE; i < BEFORE + DIGITS && text[i]; i++) {
		if (text[i] < '0' || text[i] > '9')
			return 0;
		number = number * 10 + (text[i] - '0');
	}
	if (!text[BEFORE] || text[BEFORE + DIGITS])
		return 0;
	struct file *file = file_of(task, number);
	if (!file)
		return 0;
	add_path(s, index, GET(file, f_path.dentry), GET(file, f_path.mnt));
	return 1;
}

/* A path as given, and the folder that it starts from: a process may have taken another root. */
INLINE void add_given(struct scratch *s, u32 index, struct task_struct *task, u8 text, u8 base)
{
	u32 used = s->used;
	if (text != NO_ARGUMENT) {
		if (base != NO_ARGUMENT && add_descriptor(s, index, task, argument(s, text)))
			return;
		add_user_text(s, index, argument(s, text));
		if (base != NO_ARGUMENT && used <= DATA_STEP * 4 && s->record.data[used] == '/' && s->used > used) {
			struct fs_struct *fs = GET(task, fs);
			add_path(s, index + 1, GET(fs, root.dentry), GET(fs, root.mnt));
			return;
		}
	}
	add_base(s, index + 1, task, base);
}

INLINE int watched(struct dentry *dentry)
{
	struct name name = {};
	read_kernel_text(&name, sizeof(name), GET(dentry, d_name.name));
	if (map_lookup(&names, &name))
		return 1;
	__builtin_memset(&name, 0, sizeof(name));
	struct dentry *folder = GET(dentry, d_parent);
	read_kernel_text(&name, sizeof(name), GET(folder, d_name.name));
	return map_lookup(&folders, &name) != 0;
}

/* Starts the record of a call. */
INLINE struct scratch *start(struct task_struct *task, u64 container, struct call *call, s64 result, u32 flags)
{
	struct scratch *s = begin(FOR_CALL, task, container, call->kind);
	if (s) {
		s->record.head.call = call->number;
		s->record.head.result = result;
		s->record.head.flags |= flags;
	}
	return s;
}

INLINE long opened(struct scratch *s, struct task_struct *task, struct group *group, struct call *call, s64 result,
		   u32 compat_flag)
{
	u64 container = group->container;
	u64 flags = 0x241; /* creat(2): O_CREAT, O_WRONLY, O_TRUNC */
	if (call->c != NO_ARGUMENT)
		flags = argument(s, call->c);
	if (call->d == 1) {
		u64 how = flags;
		flags = 0;
		read_user(&flags, 8, (void *)how);
	}
	if (result < 0) {
		/* Looking for a file that is not there is no event; being refused is, and trying to write. */
		if (!(flags & 0x243) && result != -13 && result != -1)
			return 0;
		if (!start(task, container, call, result, compat_flag))
			return 0;
		s->record.head.args[0] = flags;
		add_given(s, 0, task, call->a, call->b);
		send(s, call->urgent);
		return 0;
	}
	struct file *file = file_of(task, result);
	if (!file) {
		/* Another thread has closed it already: what was asked for is told, and no mode. */
		if (start(task, container, call, result, compat_flag)) {
			s->record.head.args[0] = flags;
			add_given(s, 0, task, call->a, call->b);
			send(s, call->urgent);
		}
		return 0;
	}
	u32 mode = GET(file, f_mode);
	if (mode & PATH_MODE)
		return 0;
	struct dentry *dentry = GET(file, f_path.dentry);
	struct inode *inode = GET(file, f_inode);
	/* What is written to /dev/null is nothing. */
	u32 kept = GET(inode, i_mode);
	if ((kept & S_IFMT) == S_IFCHR && GET(inode, i_rdev) == NULL_DEVICE)
		return 0;
	if (!(mode & (WRITE_MODE | CREATED_MODE)) && !all_reads && call->number != OPEN_BY_HANDLE && !watched(dentry))
		return 0;
	if (!start(task, container, call, result, compat_flag))
		return 0;
	s->record.head.args[0] = flags;
	s->record.head.args[1] = mode;
	s->record.head.args[2] = origin(file, task, group->root);
	add_path(s, 0, dentry, GET(file, f_path.mnt));
	send(s, call->urgent);
	/* Made with the right of its owner at once: told once more, with the mode that it has, as chmod(2) would be. */
	if ((mode & CREATED_MODE || flags & O_TMPFILE) && (kept & S_IFMT) == S_IFREG && kept & S_ISUID &&
	    begin(FOR_CALL, task, container, PATH)) {
		s->record.head.call = call->number;
		s->record.head.result = result;
		s->record.head.flags |= compat_flag;
		s->record.head.args[0] = kept;
		add_path(s, 0, dentry, GET(file, f_path.mnt));
		send(s, 1);
	}
	return 0;
}

INLINE long networked(struct scratch *s, struct task_struct *task, u64 container, struct call *call, s64 result,
		      u32 compat_flag)
{
	u32 way = call->d;
	u32 descriptor = call->a == NO_ARGUMENT ? result : argument(s, call->a);
	if (way == DUPLICATE && (result < 0 || result > 2))
		return 0;
	struct file *file = file_of(task, descriptor);
	if (!file)
		return 0;
	struct sock *sock = sock_of(file);
	if (!sock)
		return 0;
	u64 family = GET(sock, __sk_common.skc_family);
	u64 type = GET(sock, sk_type);
	u32 remote = __builtin_bswap16(GET(sock, __sk_common.skc_dport));
	u64 address = call->b == NO_ARGUMENT ? 0 : argument(s, call->b);
	u64 address_size = address ? argument(s, call->c) : 0;
	u64 payload = 0, payload_size = 0;
	if (way == DUPLICATE && family != AF_INET && family != AF_INET6)
		return 0;
	u32 fast = 0;
	if (way >= DATAGRAM) {
		if (family != AF_INET && family != AF_INET6)
			return 0;
		/* A stream that is opened by what is sent first. */
		fast = type == SOCK_STREAM && argument(s, way == MESSAGE ? 2 : 3) & MSG_FASTOPEN;
		if (type != SOCK_DGRAM && !fast)
			return 0;
		if (way == DATAGRAM) {
			payload = argument(s, 1);
			payload_size = argument(s, 2);
		} else if (!compat_flag) {
			struct msghdr_user message = {};
			struct iovec_user first = {};
			read_user(&message, sizeof(message), (void *)argument(s, 1));
			read_user(&first, sizeof(first), (void *)message.iov);
			address = message.name;
			address_size = message.namelen;
			payload = first.base;
			payload_size = first.len;
		}
		u16 port[2] = {};
		if (address)
			read_user(port, 4, (void *)address);
		if (!fast && remote != DNS && __builtin_bswap16(port[1]) != DNS)
			return 0;
	}
	if (!start(task, container, call, result, compat_flag))
		return 0;
	struct head *h = &s->record.head;
	h->args[0] = family | type << 16 | (u64)GET(sock, sk_protocol) << 32;
	h->args[1] = GET(sock, __sk_common.skc_num) | remote << 16;
	if (family == AF_INET) {
		h->args[2] = GET(sock, __sk_common.skc_rcv_saddr);
		h->args[4] = GET(sock, __sk_common.skc_daddr);
	} else if (family == AF_INET6 && HAS(sock, __sk_common.skc_v6_daddr)) {
		read_kernel(&h->args[2], 16, &sock->__sk_common.skc_v6_rcv_saddr);
		read_kernel(&h->args[4], 16, &sock->__sk_common.skc_v6_daddr);
	}
	if (address_size > 128) /* sockaddr_storage */
		address_size = 128;
	if (fast) {
		h->call = CONNECT;
		h->result = result < 0 ? result : 0;
		payload_size = 0;
	}
	add_user_bytes(s, 0, address, address_size);
	if (payload_size > DNS_BYTES) {
		payload_size = DNS_BYTES;
		h->flags |= CUT;
	}
	add_user_bytes(s, 1, payload, payload_size);
	/* Where the socket at the other end (of bind(2), this one) really is, whatever name led to it. */
	if (family == AF_UNIX && address) {
		struct unix_sock *end = (void *)sock;
		if (call->number == CONNECT)
			end = (void *)GET(end, peer);
		struct dentry *bound = result < 0 || !end ? 0 : GET(end, path.dentry);
		if (bound)
			add_path(s, 2, bound, GET(end, path.mnt));
		else
			add_base(s, 3, task, WORKING_FOLDER);
	}
	send(s, call->urgent);
	return 0;
}

INLINE int wanted(struct scratch *s, struct call *call, s64 result)
{
	u64 value = argument(s, call->filtered);
	if (call->filter == POINTS_TO_BITS) {
		/* In a new thread what the pointer of its parent points to is no more what it was. */
		if (result == 0)
			return 0;
		u64 from = value;
		value = 0;
		read_user(&value, 8, (void *)from);
		return (value & call->mask) != 0;
	}
	if (call->filter == HAS_BITS)
		return (value & call->mask) != 0;
	if (call->filter == EQUALS)
		return (u32)value == (u32)call->mask;
	if (call->filter == DIFFERS)
		return (u32)value != (u32)call->mask;
	if (call->filter == IS_ONE_OF_TWO)
		return (u32)value == (u32)call->mask || (u32)value == call->mask >> 32;
	return 1;
}

/* How a call is told, by its number; `other` if it came by the 32-bit entry. */
INLINE struct call *call_of(u64 number, u32 other)
{
	u32 index = number & ~X32;
	if ((s32)number < 0)
		return 0;
	/* x32 numbers of its own, and 32-bit numbers beyond the table, are told as use of another entry. */
	if (index >= 512)
		index = number & X32 || other ? THIRTY_TWO : 511;
	else if (other)
		index += 512;
	return map_lookup(&calls, &index);
}

/* One of the two paths of a call: where it led, if that is known, or as it was given. */
INLINE void add_one_path(struct scratch *s, u32 index, struct task_struct *task, struct led *led, u32 from, u8 text, u8 base)
{
	u32 size = led ? led->head.lengths[index & 7] : 0;
	if (!size) {
		add_given(s, index, task, text, base);
		return;
	}
	u32 used = s->used;
	if (used > DATA_STEP * 4 || size > DATA_STEP)
		return;
	OPAQUE(size);
	if (size > DATA_STEP)
		return;
	read_kernel(&s->record.data[used], size, led->data + from);
	took(s, index, size);
}

SEC("tp_btf/sys_exit")
int returned(u64 *ctx)
{
	struct pt_regs *registers = (void *)ctx[0];
	s64 result = ctx[1];
	struct task_struct *task = current_task_typed();
	u64 number = registers->orig_ax;
	u32 other = task->thread_info.status & TS_COMPAT ? COMPAT : 0;
	struct call *call = call_of(number, other);
	if (!call || !(call->kind || other || number & X32))
		return 0;
	u64 id = current_cgroup();
	struct group *group = map_lookup(&groups, &id);
	if (!group)
		return 0;
	u64 container = group->container;
	u64 process = current_pid_tgid() >> 32;
	u32 pid = process;
	struct entry *entry = map_lookup(&entering, &pid);
	if (entry && entry->until > boot_time())
		return 0;
	u32 which = FOR_CALL;
	struct scratch *s = map_lookup(&scratches, &which);
	if (!s)
		return 0;
	if ((other || number & X32) && !map_lookup(&compat, &process)) {
		u8 told = 1;
		map_update(&compat, &process, &told, ANY);
		if (begin(FOR_CALL, task, container, CALL)) {
			s->record.head.call = OTHER_ENTRY;
			s->record.head.result = result;
			s->record.head.flags |= COMPAT;
			s->record.head.args[0] = number;
			send(s, 1);
		}
	}
	if (other) {
		s->args[0] = (u32)registers->bx;
		s->args[1] = (u32)registers->cx;
		s->args[2] = (u32)registers->dx;
		s->args[3] = (u32)registers->si;
		s->args[4] = (u32)registers->di;
		s->args[5] = (u32)registers->bp;
		result = (s32)result;
	} else {
		s->args[0] = registers->di;
		s->args[1] = registers->si;
		s->args[2] = registers->dx;
		s->args[3] = registers->r10;
		s->args[4] = registers->r8;
		s->args[5] = registers->r9;
	}
	if (!wanted(s, call, result))
		return 0;
	switch (call->kind) {
	case OPEN:
		opened(s, task, group, call, result, other);
		return 0;
	case NETWORK:
		networked(s, task, container, call, result, other);
		return 0;
	case PATH:
	case CALL:
		break;
	default:
		return 0;
	}
	if (!start(task, container, call, result, other))
		return 0;
	for (int i = 0; i < 6; i++)
		s->record.head.args[i] = s->args[i];
	if (call->kind == PATH) {
		u64 thread = current_pid_tgid();
		struct led *found = map_lookup(&led, &thread);
		if (found)
			s->record.head.flags |= RESOLVED | (found->head.flags & CUT);
		add_one_path(s, 0, task, found, 0, call->a, call->b);
		add_one_path(s, 2, task, found, found ? found->head.lengths[0] : 0, call->c, call->d);
		map_delete(&led, &thread);
	} else {
		if (call->a != NO_ARGUMENT)
			add_user_text(s, 0, argument(s, call->a));
		add_base(s, 1, task, call->c);
	}
	send(s, call->urgent);
	return 0;
}
