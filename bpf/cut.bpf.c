/* No packet in, no packet out: attached to the control group of one container whose network is cut.
 *
 * Loopback is cut with the rest. Over it a container reaches the engine's name server, which asks others outside, and
 * with the host's network the services of the host.
 * SPDX-License-Identifier: GPL-2.0 OR MIT */
#include "helpers.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

enum way { IN, OUT, WAYS };

/* Packets that were stopped. */
struct { MAP_KIND(ARRAY); MAP_ENTRIES(WAYS); MAP_KEY(u32); MAP_VALUE(u64); } stopped SEC(".maps");

INLINE int stop(u32 way)
{
	u64 *number = map_lookup(&stopped, &way);
	if (number)
		ADD(*number, 1);
	return 0;
}

SEC("cgroup_skb/ingress")
int stop_in(void *packet)
{
	return stop(IN);
}

SEC("cgroup_skb/egress")
int stop_out(void *packet)
{
	return stop(OUT);
}
