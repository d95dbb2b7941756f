/*
 * delivery_state.h - the states that a claimed notification can be recorded in.
 */
#ifndef RHESIS_DELIVERY_STATE_H
#define RHESIS_DELIVERY_STATE_H

typedef enum DeliveryState
{
	DELIVERY_PENDING, /* returned to the queue, as if it had never been claimed */
	DELIVERY_DEFERRED,
	DELIVERY_HELD,
	DELIVERY_SENT,
	DELIVERY_FAILED,
	DELIVERY_SKIPPED
} DeliveryState;

/*
 * Returns the name of the state in the SQL type rhesis_notify.delivery_state, such as "pending".
 * Constant.
 */
extern const char *DeliveryStateName(DeliveryState state);

#endif
