// What a run is: the settings of its world, the faults with their times, and what every client
// does. A plan is drawn from a seed (swarm.h) or read from a schedule file; together with the draws
// made while it runs (draws.h) it is the whole run. All numbers are plain integers in tables of
// named fields, so that writing, reading and shrinking need no code of their own for a new one.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::sim {

/// What the world is like from beginning to end. Times in the unit that the name ends in.
struct Weather {
  int64_t entropy = 1;    ///< seeds ids, secrets, election timeouts
  int64_t thrift = 0;     ///< full mode: calls and peers' messages travel as bytes
  int64_t judged = 0;     ///< all calls are recorded and judged in the end (tests/history)
  int64_t elections = 0;  ///< only leaderships and clients fail: dead sessions are judged all along
  int64_t length_ms = 60'000;
  int64_t nodes = 3;
  int64_t spares = 0;  ///< servers beside them that an operator may add; 0: members never change
  /// Feature level that servers know at first; those whose program is exchanged know one more. 0:
  /// all know what this program does.
  int64_t old_level = 0;
  int64_t clients = 4;
  int64_t paths = 2;
  int64_t semaphores = 1;
  int64_t core_mask = 0;  ///< nodes that are healed at the end; 0: all
  int64_t rest = 0;       ///< what the others do then: 0 dead, 1 cut off, 2 heard but deaf

  int64_t heartbeat_ms = 100;
  int64_t election_min_ms = 500;
  int64_t election_max_ms = 1'000;
  int64_t pre_vote = 1;
  int64_t check_quorum = 1;
  int64_t fast_failover = 1;
  int64_t ttl_ms = 4'000;
  int64_t drift_ppm = 10'000;  ///< the bound that servers and clients go by
  int64_t clock_ppm = 0;       ///< how far clocks really differ, at most the bound

  int64_t segment_bytes = 64 << 10;
  int64_t inflight = 64;
  int64_t append_bytes = 64 << 10;
  int64_t catchup_bytes = 1 << 20;
  int64_t committed_bytes = 1 << 20;
  int64_t window_bytes = 16 << 20;
  int64_t uncommitted_bytes = 64 << 20;
  int64_t pending_commands = 65'536;
  int64_t unequal = 0;               ///< every node draws storage and batch settings of its own
  int64_t history_events = 100'000;  ///< that a server keeps for watches
  int64_t history_bytes = 64 << 20;
  int64_t reply_entries = 1'000;  ///< that watches add to a poll's answer at most
  int64_t watches_max = 10'000;   ///< of one session on one server
  int64_t snapshot_ms = 0;        ///< between two snapshots; 0: there are none
  int64_t snapshot_bytes = 64 << 20;
  int64_t load_ms = 0;     ///< a node that has a snapshot loads it for up to so long
  int64_t room_bytes = 0;  ///< reserve, and twice what is to stay free; 0: disks are not watched
  int64_t only_full = 0;   ///< nothing but full disks fails: no session of a live client expires

  int64_t loss_permille = 0;
  int64_t duplicate_permille = 0;
  int64_t reorder_permille = 0;
  int64_t delay_us = 300;
  int64_t tail_permille = 0;  ///< messages that take up to tail_us
  int64_t tail_us = 0;
  int64_t disk_us = 300;
  int64_t disk_tail_permille = 0;
  int64_t disk_tail_us = 0;
  int64_t turn_us = 0;  ///< a node gathers input for up to so long before it handles it

  friend bool operator==(const Weather&, const Weather&) = default;
};

enum class FaultKind : uint8_t {
  kKill,          ///< the process dies; what it wrote stays in the page cache
  kPower,         ///< the machine dies; of what was not synced an arbitrary part survives
  kPowerAll,      ///< all machines at once
  kKillPower,     ///< killed, started again after amount ms, and then the power goes
  kCrashAtDisk,   ///< dies around its disk operation number amount from now; other = 1: power
  kIoError,       ///< that disk operation fails
  kReadError,     ///< that read fails
  kDiskFull,      ///< amount bytes are left for a while
  kSlowDisk,      ///< every disk step takes amount us for a while
  kFlipBit,       ///< a bit of a log file is another (seed says which)
  kLostWrite,     ///< a write is said to be done and is not
  kStrayWrite,    ///< a write lands elsewhere in its file
  kWipe,          ///< the node comes back with an empty disk: refused
  kOldImage,      ///< the node comes back with the disk of amount ms ago
  kPause,         ///< the process stands still
  kWallJump,      ///< the wall clock is set by amount ms
  kStepDown,      ///< the node is told that it did not run for an election timeout
  kTransfer,      ///< an operator hands leadership to `other`
  kUnequal,       ///< the node comes back with another flag that all must share: peers refuse it
  kHoldApply,     ///< the node applies nothing of what commits
  kFlipSnapshot,  ///< bits of its snapshot are others (seed says which)
  kAlterState,    ///< its snapshot becomes that of another state, whole in itself (seed: which)
  kHoldSnapshot,  ///< a person keeps a transaction open in its snapshot
  kMembers,       ///< an operator asks the node to change the members: amount says how, other whom
  kUpgrade,       ///< the node comes back with a program that knows one feature level more
  kRaise,         ///< an operator asks the node to put that level in force
  kUnmount,       ///< the node comes back without the file system that its log is on, for a while
  kOperate,    ///< the operator has a further change to make, until it is made: fields as kMembers
  kDieAtDisk,  ///< dies around its disk operation `amount` since it was made; other = 1: power
  kSmallDisk,  ///< amount bytes are left for good: only the node's own keys can give room back
  kLoseCurrent,     ///< the node comes back without the file that names its snapshot, for a while
  kRemoveSnapshot,  ///< somebody removes the database of the node while that runs
  kSplit,           ///< the nodes of mask and all others do not hear each other
  kOneWay,          ///< the nodes of mask are not heard by the others
  kRing,            ///< every node hears its two neighbours only
  kBridge,          ///< halves that only one node joins
  kChain,           ///< every node hears the next in line
  kFlap,            ///< a node's links come and go every amount ms
  kClog,            ///< what goes to or from the nodes of mask waits
  kSwizzle,         ///< nodes are clogged one after the other and freed in another order
  kReset,           ///< the connections between two nodes break; what is on its way is lost
  kLie,             ///< the others are told that this node's host refuses connections
  kOldMessages,     ///< what a node sends now comes again after amount ms
  kClientCut,       ///< the client reaches no node of mask (0: none at all)
  kClientPause,     ///< the client's process stands still
  kClientDeaf,      ///< the client reads no answers for a while
  kClientDies,      ///< the client never runs again
  kCount,
};

struct Fault {
  FaultKind kind = FaultKind::kKill;
  int64_t at_ms = 0;
  int64_t for_ms = 0;  ///< how long; of a crash until the restart
  int64_t node = 0;    ///< from 1; of client faults the client
  int64_t other = 0;
  int64_t mask = 0;  ///< bit 0 is node 1
  int64_t amount = 0;
  int64_t seed = 0;
  friend bool operator==(const Fault&, const Fault&) = default;
};

enum class OpKind : uint8_t {
  kLock,      ///< acquire, hold, give back
  kLockAll,   ///< the same with acquireAll over mask
  kDescribe,  ///< read a lock
  kCheck,     ///< read whether a token is current
  kList,      ///< read the list of locks
  kRevoke,    ///< an operator takes the lock away
  kExpire,    ///< an operator ends the session of client `target`
  kSetting,   ///< an operator changes a replicated limit
  kClose,     ///< close the session and open another
  kStray,     ///< name a holder id that is not one's own in release or setHolderValue
  kPut,       ///< write a key
  kCreate,    ///< create a key of some kind
  kRemove,    ///< remove a key
  kTransact,  ///< several of these by a condition; mask says which
  kGet,       ///< read a key
  kGetMany,   ///< read those of mask at one revision
  kListKeys,  ///< read keys page by page
  kAwait,     ///< wait for a key to change
  kWatch,     ///< begin a watch, which goes on beside the hand for `hold`
  kCount,
};

/// What a client's hand does, one after the other.
struct Op {
  OpKind kind = OpKind::kLock;
  int64_t think_ms = 0;  ///< before it
  int64_t path = 0;      ///< number of the lock; from Weather::paths on semaphores. Or of the key
  int64_t mask = 0;      ///< acquireAll: bits of plain locks
  int64_t mode = 1;      ///< api::LockMode
  int64_t permits = 0;
  int64_t wait_ms = 0;
  int64_t hold_ms = 0;
  int64_t delay_ms = 0;  ///< lock-delay
  int64_t max_queue = 0;
  int64_t enqueue = 0;
  int64_t value = 0;      ///< bytes published; another value is set while it is held
  int64_t cancel_ms = 0;  ///< taken back if it still waits then
  int64_t early = 0;      ///< the cancel waits for no answer: it may come before the acquire
  int64_t handover = 0;   ///< given to the last waiter
  int64_t local = 0;      ///< read from the server's own state
  int64_t notice_ms = 0;
  int64_t force = 0;
  int64_t target = 0;
  int64_t give_up = 0;  ///< not repeated once every copy was answered NOT APPLIED

  // Of keys and watches (key_space.h).
  int64_t key_kind = 1;    ///< api::KeyKind
  int64_t ttl_ms = 0;      ///< of a TTL key
  int64_t version = 0;     ///< expected: 0 any, 1 none, 2 the one last seen
  int64_t sequential = 0;  ///< create
  int64_t recursive = 0;   ///< remove; list: all below
  int64_t parents = 0;     ///< missing ones are made
  int64_t guard = 0;       ///< 1: by the lock last granted to this client, 2: to another. Of a lock
                           ///< operation: a key is written while it is held
  int64_t page = 0;        ///< keys per page
  int64_t since = 0;       ///< 0 now, 1 last seen, 2 long ago, 3 still to come
  int64_t scope = 1;       ///< api::WatchScope
  int64_t space = 1;       ///< api::WatchSpace
  int64_t filter = 0;      ///< bits of api::EventType; 0: all
  int64_t rest_ms = 0;     ///< the watch is given up for so long in between
  int64_t compares = 0;    ///< transact: kinds of conditions on what is read first (hand_writes.cc)
  int64_t relation = 1;    ///< transact: api::CompareRelation of the last of them
  int64_t step_guards = 0;  ///< transact: bits of steps that are guarded; of a lock operation the
                            ///< write is a transaction of such
  int64_t sessionless = 0;  ///< a write without a session
  int64_t copies = 0;       ///< of it further ones, while nobody knows what the last one did
  friend bool operator==(const Op&, const Op&) = default;
};

/// One sequence of operations within a client's session; hands of one client run side by side.
struct Script {
  int64_t client = 1;
  int64_t hand = 1;
  std::vector<Op> ops;
  friend bool operator==(const Script&, const Script&) = default;
};

struct Plan {
  Weather weather;
  std::vector<Fault> faults;  ///< by time
  std::vector<Script> scripts;
  friend bool operator==(const Plan&, const Plan&) = default;
};

template <class T>
struct Field {
  std::string_view name;
  int64_t T::*member;
  int64_t low;
  int64_t high;
};
std::span<const Field<Weather>> weather_fields();
std::span<const Field<Fault>> fault_fields();
std::span<const Field<Op>> op_fields();

std::string_view name_of(FaultKind kind);
std::string_view name_of(OpKind kind);

/// "split at=1200 for=300 mask=1": the fields that are not as in a new object.
std::string describe(const Weather& weather);
std::string describe(const Fault& fault);
std::string describe(const Op& op);

}  // namespace holdfast::sim
