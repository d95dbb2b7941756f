/*
 * claim_journal.c - see claim_journal.h.
 *
 * Each slot has two lives: that of its worker, and that of a worker before. A row is in unsent[]
 * from its claim until its mail may reach a server, or until its outcome is recorded. The worker
 * writes its own life without a lock. Other processes read a life only after its end, when no slot
 * has its epoch any more. After a crash of the server the journal is empty, and all rows that were
 * claimed are in doubt.
 */
#include "postgres.h"

#include "server/claim_journal.h"

#include "miscadmin.h"
#include "server/shared_state.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

typedef struct Journal
{
	JournalLife lives[2];
	int current;
} Journal;

#define CULPRITS 32

typedef struct Culprit
{
	Oid database;
	int64 id; /* 0: none */
} Culprit;

typedef struct JournalMemory
{
	Culprit culprits[CULPRITS];
	int next_culprit;
	Journal journals[FLEXIBLE_ARRAY_MEMBER];
} JournalMemory;

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;
static JournalMemory *memory = NULL;
static Journal *journals = NULL;
static JournalLife *my_life = NULL;
static int next_place = 0;

/* There is a journal for each slot of the shared state. */
static Size
JournalMemorySize(void)
{
	return add_size(offsetof(JournalMemory, journals),
					mul_size(max_worker_processes, sizeof(Journal)));
}

static void
RequestMemory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(JournalMemorySize());
}

static void
SetUpMemory(void)
{
	bool found;

	if (previous_startup_hook)
		previous_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	memory = ShmemInitStruct("rhesis_notify claims", JournalMemorySize(), &found);
	if (!found)
		memset(memory, 0, JournalMemorySize());
	journals = memory->journals;
	LWLockRelease(AddinShmemInitLock);
}

void
RequestClaimJournal(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = RequestMemory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = SetUpMemory;
}

static bool
IsEmpty(const JournalLife *life)
{
	if (life->epoch == 0)
		return true;
	for (int place = 0; place < JOURNAL_ROWS; place++)
	{
		if (life->unsent[place] != 0)
			return false;
	}
	return life->preparing == 0;
}

static JournalLife *
LifeOf(int number)
{
	Assert(0 <= number && number < 2 * rhesis_shared->slot_count);
	return &journals[number / 2].lives[number % 2];
}

/*
 * Remove the lives of an earlier extension in this database. CREATE EXTENSION restarts the epochs.
 * So a life whose epoch is not below that of a new worker is from before, and its ids are those of
 * other rows.
 */
static void
ForgetEarlierExtension(int64 epoch)
{
	for (int i = 0; i < 2 * rhesis_shared->slot_count; i++)
	{
		JournalLife *life = LifeOf(i);

		if (life->database == MyDatabaseId && life->epoch >= epoch &&
			pg_atomic_read_u64(&rhesis_shared->slots[i / 2].epoch) != (uint64) life->epoch)
			life->epoch = 0;
	}
}

void
BeginJournal(int slot, int64 epoch)
{
	Journal *journal = &journals[slot];

	Assert(0 <= slot && slot < rhesis_shared->slot_count);
	LockSlots(LW_EXCLUSIVE);
	ForgetEarlierExtension(epoch);
	if (!IsEmpty(&journal->lives[journal->current]))
		journal->current = 1 - journal->current;
	my_life = &journal->lives[journal->current];
	memset(my_life, 0, sizeof(*my_life));
	my_life->database = MyDatabaseId;
	my_life->epoch = epoch;
	UnlockSlots();
}

int
NoteUnsent(int64 id)
{
	for (int tried = 0; my_life != NULL && tried < JOURNAL_ROWS; tried++)
	{
		int place = next_place;

		next_place = (next_place + 1) % JOURNAL_ROWS;
		if (my_life->unsent[place] == 0)
		{
			my_life->unsent[place] = id;
			return place;
		}
	}
	return NOT_NOTED;
}

void
ForgetUnsent(int *place)
{
	Assert(*place == NOT_NOTED || (0 <= *place && *place < JOURNAL_ROWS && my_life != NULL));
	if (*place != NOT_NOTED)
		my_life->unsent[*place] = 0;
	*place = NOT_NOTED;
}

void
NotePreparing(int count, int64 id, int single_row_claims)
{
	Assert(my_life != NULL);
	my_life->single_row_claims = single_row_claims;
	my_life->preparing_id = id;
	my_life->preparing = count;
}

bool
DeadLife(int number, bool (*epoch_is_live)(int64 epoch), JournalLife *life)
{
	bool found = false;

	LockSlots(LW_SHARED);
	for (int i = 0; !found && i < 2 * rhesis_shared->slot_count; i++)
	{
		const JournalLife *candidate = LifeOf(i);

		if (candidate->database == MyDatabaseId && candidate->epoch != 0 &&
			!epoch_is_live(candidate->epoch) && number-- == 0)
		{
			*life = *candidate;
			found = true;
		}
	}
	UnlockSlots();
	return found;
}

static void
ForgetOf(int64 epoch, bool all)
{
	LockSlots(LW_EXCLUSIVE);
	for (int i = 0; i < 2 * rhesis_shared->slot_count; i++)
	{
		JournalLife *life = LifeOf(i);

		if (life->database != MyDatabaseId || life->epoch != epoch)
			continue;
		life->preparing = 0;
		if (all)
			life->epoch = 0;
	}
	UnlockSlots();
}

void
ForgetPreparing(int64 epoch)
{
	ForgetOf(epoch, false);
}

void
ForgetLife(int64 epoch)
{
	ForgetOf(epoch, true);
}

static Culprit *
FindCulprit(int64 id)
{
	for (int i = 0; i < CULPRITS; i++)
	{
		if (memory->culprits[i].id == id && memory->culprits[i].database == MyDatabaseId)
			return &memory->culprits[i];
	}
	return NULL;
}

void
NoteCulprit(int64 id)
{
	LockSlots(LW_EXCLUSIVE);
	if (FindCulprit(id) == NULL)
	{
		memory->culprits[memory->next_culprit] = (Culprit){MyDatabaseId, id};
		memory->next_culprit = (memory->next_culprit + 1) % CULPRITS;
	}
	UnlockSlots();
}

/* Takes no lock: if another process notes the row at this moment, the next call knows it. */
bool
IsCulprit(int64 id)
{
	return FindCulprit(id) != NULL;
}

void
ForgetCulprit(int64 id)
{
	Culprit *culprit;

	if (!IsCulprit(id))
		return;
	LockSlots(LW_EXCLUSIVE);
	culprit = FindCulprit(id);
	if (culprit != NULL)
		culprit->id = 0;
	UnlockSlots();
}
