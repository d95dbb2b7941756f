/*
 * delivery_state.c - see delivery_state.h.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "policy/delivery_state.h"

const char *
DeliveryStateName(DeliveryState state)
{
	static const char *const names[] = {
		[DELIVERY_PENDING] = "pending", [DELIVERY_DEFERRED] = "deferred",
		[DELIVERY_HELD] = "held",		[DELIVERY_SENT] = "sent",
		[DELIVERY_FAILED] = "failed",	[DELIVERY_SKIPPED] = "skipped",
	};

	Assert(state < lengthof(names));
	return names[state];
}
