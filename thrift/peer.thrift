/*
 * What servers tell each other besides Raft: forwarded commands, lease renewals, and what operators
 * are shown.
 * Carried by the peer transport (docs/peer-protocol.md) in compact protocol.
 */
include "holdfast.thrift"
include "command.thrift"

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

/** The leader could not even begin. */
struct TransferRefusal {
  /** The asker's number. */
  1: i64 request,
  /** Why. */
  2: holdfast.ErrorCode code,
  /** The sentence. */
  3: string message,
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
