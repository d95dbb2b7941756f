/*
 * delivery_list.h - a list of deliveries: a delivery is appended, and the first one is taken.
 */
#ifndef RHESIS_DELIVERY_LIST_H
#define RHESIS_DELIVERY_LIST_H

#include "delivery/delivery.h"

typedef struct DeliveryList
{
	Delivery *first;
	Delivery **tail;
	int count;
} DeliveryList;

/* The initial value of a static variable of this name: an empty list. */
#define EMPTY_DELIVERY_LIST(name)                        \
	{                                                    \
		.first = NULL, .tail = &(name).first, .count = 0 \
	}

static inline void
AppendDelivery(DeliveryList *list, Delivery *delivery)
{
	Assert(*list->tail == NULL);
	delivery->next = NULL;
	*list->tail = delivery;
	list->tail = &delivery->next;
	list->count++;
}

/* Removes the first delivery and returns it; NULL if the list is empty. */
static inline Delivery *
TakeFirst(DeliveryList *list)
{
	Delivery *delivery = list->first;

	if (delivery == NULL)
		return NULL;
	list->first = delivery->next;
	if (list->first == NULL)
		list->tail = &list->first;
	list->count--;
	Assert((list->first == NULL) == (list->count == 0));
	return delivery;
}

#endif
