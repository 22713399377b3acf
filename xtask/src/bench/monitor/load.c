/* The work that is measured, run inside a container. Prints how often it was done and how many nanoseconds that took. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void open_once(const char *path)
{
	int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (file < 0)
		exit(3);
	close(file);
}

static void start_once(char **program, int quiet)
{
	pid_t child = vfork();
	if (child == 0) {
		int nothing = quiet ? open("/dev/null", O_WRONLY) : -1;
		if (nothing >= 0)
			dup2(nothing, 1);
		execvp(program[0], program);
		_exit(127);
	}
	int status = 1;
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		exit(4);
}

/* One connection within the container: what one end sends, the other sends back. */
static void echo(long count)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	int on = 1, door = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(door, (void *)&at, size) || listen(door, 1) || getsockname(door, (void *)&at, &size))
		exit(5);
	char bytes[64] = {0};
	if (fork() == 0) {
		int end = accept(door, 0, 0);
		setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		for (ssize_t got; (got = read(end, bytes, sizeof(bytes))) > 0;)
			if (write(end, bytes, got) != got)
				_exit(1);
		_exit(0);
	}
	int end = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(end, (void *)&at, size))
		exit(6);
	setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	for (long i = 0; i < count; i++)
		if (write(end, bytes, sizeof(bytes)) != sizeof(bytes) || read(end, bytes, sizeof(bytes)) <= 0)
			exit(7);
	close(end);
	wait(0);
}

/* Opens for writing by several processes for some seconds, so many a second altogether at most (0: as many as can be). */
static long flood(long seconds, long processes, long rate)
{
	long *counts = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	long total = 0;
	for (long p = 0; p < processes && p < 64; p++) {
		if (fork() != 0)
			continue;
		char path[32];
		snprintf(path, sizeof(path), "/tmp/flood-%ld", p);
		long long begin = now(), end = begin + seconds * 1000000000LL;
		for (long long t = begin; t < end; t = now()) {
			while (rate && counts[p] * 1000000000LL > (t - begin) * (rate / processes) && t < end) {
				usleep(500);
				t = now();
			}
			for (int i = 0; i < 50; i++)
				open_once(path);
			counts[p] += 50;
		}
		_exit(0);
	}
	while (wait(0) > 0)
		;
	for (long p = 0; p < processes && p < 64; p++)
		total += counts[p];
	return total;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	const char *work = argv[1];
	long count = argc > 2 ? atol(argv[2]) : 0;
	if (!strcmp(work, "nothing"))
		return 0;
	long long begin = now();
	if (!strcmp(work, "getppid"))
		for (long i = 0; i < count; i++)
			syscall(SYS_getppid);
	else if (!strcmp(work, "open"))
		for (long i = 0; i < count; i++)
			open_once("/tmp/written");
	else if (!strcmp(work, "exec"))
		for (long i = 0; i < count; i++)
			start_once((char *[]){"/load", "nothing", 0}, 0);
	else if (!strcmp(work, "run") && argc > 3)
		for (long i = 0; i < count; i++)
			start_once(argv + 3, 1);
	else if (!strcmp(work, "echo"))
		echo(count);
	else if (!strcmp(work, "flood") && argc > 4)
		count = flood(count, atol(argv[3]), atol(argv[4]));
	else
		return 2;
	printf("%ld %lld\n", count, now() - begin);
	return 0;
}
