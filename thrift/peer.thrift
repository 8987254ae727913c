/*
 * What servers tell each other besides Raft: forwarded commands, lease renewals, and what operators
 * are shown.
 * Carried by the peer transport (docs/peer-protocol.md) in compact protocol.
 */
include "holdfast.thrift"
include "command.thrift"
include "admin.thrift"

namespace cpp holdfast.peer
namespace py holdfast_replicated.peer
namespace java io.holdfast.replicated.peer
namespace go holdfast_peer

/** A command on its way to the leader. */
struct ForwardedCommand {
  /** Header without clusterTimeMs and wallUnixMs, which the leader stamps. */
  1: command.CommandHeader header,
  /** The encoded body, passed on unread. */
  2: binary body,
}

/** Follower to leader. */
struct ForwardBatch {
  /** In order of arrival. */
  1: list<ForwardedCommand> commands,
  /** The receiver's term of leadership that the sender believes in; refused in any other, so that a
   *  late copy of a command without a sequence is never proposed. */
  2: i64 term,
}

/** A forwarded command that was not proposed. */
struct ForwardRefusal {
  /** CommandHeader.originRequest. */
  1: i64 originRequest,
  /** holdfast.ErrorCode. */
  2: holdfast.ErrorCode code,
  /** The sentence. */
  3: string message,
  /** As in HoldfastError. */
  4: i64 retryAfterMs,
}

/** Leader, or a server that took itself for it, to follower. */
struct ForwardRefusals {
  /** Any order. */
  1: list<ForwardRefusal> refusals,
}

/** A renewal that arrived at a follower. */
struct Renewal {
  /** The follower's number for it. */
  1: i64 request,
  /** Which session. */
  2: i64 sessionId,
  /** SHA-256 of the secret that came with it, if the follower has not applied the session's opening
   *  and could not check it: the leader does. */
  3: optional binary secretHash,
}

/** Follower to leader, ahead of all other work. */
struct RenewalBatch {
  /** In order of arrival. */
  1: list<Renewal> renewals,
  /** Somebody's news wait for renewals of this or an earlier batch: no pacing. */
  2: bool hurry,
}

/** What became of a renewal. */
struct RenewalReply {
  /** The follower's number for it. */
  1: i64 request,
  /** Lease counted from when the client sent its request, drift subtracted; 0 = not renewed. */
  2: i64 leaseMs,
  /** UNSPECIFIED if renewed; else why not. */
  3: holdfast.ErrorCode code,
  /** Leader's applied revision at the acknowledgement: the follower waits for it, so that notices
   *  in force are told. */
  4: i64 revision,
}

/** Leader to follower. */
struct RenewalReplies {
  /** Any order. */
  1: list<RenewalReply> replies,
}

/** A server asks the leader to transfer leadership. */
struct TransferRequest {
  /** The asker's number for it. */
  1: i64 request,
  /** To whom; 0 = the member that is furthest. */
  2: i32 nodeId,
}

/** The leader does not begin. */
struct TransferRefusal {
  /** The asker's number. */
  1: i64 request,
  /** Why. */
  2: holdfast.ErrorCode code,
  /** The sentence. */
  3: string message,
  /** Because there is nothing to do: who was named leads. Those that do not know this refuse. */
  4: bool leads,
}

/** A server asks the leader what is left of leases, and what time it is, for a view that operators
 *  look at. Sent and answered at most once; who does not hear in time shows "not known". */
struct LeaseQuery {
  /** The asker's number for it. */
  1: i64 request,
  /** Whose; at most 20,000. */
  2: list<i64> sessionIds,
}

/** The leader's answer. */
struct LeaseReply {
  /** The asker's number. */
  1: i64 request,
  /** One for each session of the query, in its order, -1 if there is no such session; empty if this
   *  server does not lead, or not yet. */
  2: list<i64> leaseLeftMs,
  /** The leader's cluster time; 0 if this server does not lead, or not yet. */
  3: i64 clusterTimeMs,
}

/** A server that lacks entries which the others' logs no longer have asks for a piece of a
 *  snapshot. One is under way at a time; one that is not answered is asked again. */
struct SnapshotAsk {
  /** The asker's number for it. */
  1: i64 request,
  /** The state must be that after this entry, or a later one. */
  2: i64 minIndex,
  /** Which copy the asker has the beginning of; 0 = none. */
  3: i64 copy,
  /** Where the piece begins: all before it has arrived. */
  4: i64 offset,
}

/** A piece of a snapshot, from the server that was asked. It comes late if a copy must be made
 *  first, and paced. */
struct SnapshotPiece {
  /** The asker's number. */
  1: i64 request,
  /** Which copy it is of: another one than was asked for if that is gone, from its beginning.
   *  Absent: none, the copy is being made, and the question stands. */
  2: i64 copy,
  /** The state after this entry. */
  3: i64 appliedIndex,
  /** Its term. */
  4: i64 appliedTerm,
  /** Size of the whole copy. */
  5: i64 bytes,
  /** Sum of the whole copy, piece by piece. */
  6: i64 sum,
  /** Where the piece begins. */
  7: i64 offset,
  /** At most 256 KiB, less only at the end. */
  8: binary data,
}

/** A server asks the leader to change the members. Doing it twice is doing it once. */
struct MemberChange {
  /** The asker's number for it. */
  1: i64 request,
  /** What an operator asked for. */
  2: admin.ChangeMembersRequest change,
  /** The operator's own words for it. */
  3: string trace,
}

/** The leader's answer: the change has begun, or why not. Who asked sees from its own log when it
 *  is done. */
struct MemberChangeReply {
  /** The asker's number. */
  1: i64 request,
  /** UNSPECIFIED: it has begun, or there was nothing to do. */
  2: holdfast.ErrorCode code,
  /** The sentence. */
  3: string message,
  /** As in HoldfastError. */
  4: bool retryable,
  /** It is in the configuration of this entry. */
  5: i64 index,
  /** False: all of it was so already. */
  6: bool changed,
}

/** The state of the sender after an entry. */
struct DigestPoint {
  /** The entry. */
  1: i64 index,
  /** The upper half of the state digest there. */
  2: i64 high,
  /** The lower half. */
  3: i64 low,
}

/** Any other server to the leader, a quarantined one to all members, every second: what its state
 *  was, at indexes that all servers choose alike. */
struct DigestReport {
  /** The leader's term that the sender believes in; dropped in any other. */
  1: i64 term,
  /** Names the state that the sender has: drawn anew when a process starts or another server's
   *  state is put in force. A later word about a former state counts for nothing. */
  2: i64 state,
  /** Rises with each report of the sender's state. */
  3: i64 number,
  /** The sender's state is quarantined: it has no points. */
  4: bool quarantined,
  /** At most 64. */
  5: list<DigestPoint> points,
}

/** What a server had said its state was. */
struct DigestVote {
  /** Who. */
  1: i32 nodeId,
  /** DigestReport.state. */
  2: i64 state,
  /** The upper half of its digest. */
  3: i64 high,
  /** The lower half. */
  4: i64 low,
}

/** The leader to who has reported, while the states differ. The receiver counts the majority by
 *  its own configuration; one that differs from it, in the very state that it has now, quarantines
 *  itself. */
struct DigestNews {
  /** The leader's term. */
  1: i64 term,
  /** The entry after which they differ. */
  2: i64 index,
  /** One for each server whose digest there is known; at most 64. */
  3: list<DigestVote> votes,
}

/** Every server to the leader, once a second and when it changes: whether its disk has room. */
struct RoomReport {
  /** It takes what is no more than ordinary. */
  1: bool room,
  /** Bytes free, for the leader's messages. */
  2: i64 freeBytes,
  /** Of the log that may wait for the snapshot, the hundredths that do; may exceed 100. */
  3: i32 behind,
}
