// Linearizable reads without log entries: ReadIndex (dissertation 6.4), batched, on the leader and
// from followers. No clock is involved.
#include <algorithm>
#include <iterator>

#include "base/check.h"
#include "raft/core/quorum.h"
#include "raft/core/raft.h"

namespace holdfast::raft {

void Raft::read_index(uint64_t context, Instant now) {
  advance_clock(now);
  const bool full = pending_reads() >= config_.max_pending_reads;
  if (inert() || !leader() || full) {
    fail_read({context, NodeId()});
  } else if (is<LeaderRole>()) {
    as<LeaderRole>().waiting_reads.push_back({context, NodeId()});
  } else {
    as<FollowerRole>().reads.waiting.push_back(context);
  }
}

size_t Raft::pending_reads() const {
  if (is<FollowerRole>()) {
    const ForwardedReads& reads = as<FollowerRole>().reads;
    return reads.waiting.size() + reads.sent.size();
  }
  if (!is<LeaderRole>()) return 0;
  const LeaderRole& lead = as<LeaderRole>();
  size_t count = lead.waiting_reads.size();
  for (const ReadRound& round : lead.read_rounds) count += round.reads.size();
  return count;
}

void Raft::fail_read(const WaitingRead& read) {
  ++counters_.reads_failed;
  if (!read.from) {
    failed_reads_.push_back(read.context);
    return;
  }
  Message m = make(MessageType::kReadIndexResponse, read.from);
  m.context = read.context;
  m.reject = true;
  send(std::move(m));
}

// On the leader.

/// One round at a time: what arrives meanwhile goes with the next. Dissertation 6.4, step 1: not
/// before an entry of the own term is committed, else the commit index may be behind.
bool Raft::may_start_read_round() const {
  const LeaderRole& lead = as<LeaderRole>();
  return !lead.waiting_reads.empty() && lead.read_rounds.empty() && own_term_committed();
}

void Raft::start_read_round() {
  ++counters_.read_rounds;
  broadcast_heartbeat();
}

/// The round just sent will confirm everything that waited (steps 2 and 3).
void Raft::adopt_waiting_reads() {
  LeaderRole& lead = as<LeaderRole>();
  if (lead.waiting_reads.empty()) return;
  lead.read_rounds.push_back({lead.round, commit_, std::move(lead.waiting_reads)});
  lead.waiting_reads.clear();
}

void Raft::confirm_reads() {
  LeaderRole& lead = as<LeaderRole>();
  const uint64_t confirmed = quorum_value(configuration(), [&](NodeId voter) {
    return voter == id() ? lead.round : lead.find(voter)->acked_round;
  });
  auto done = lead.read_rounds.begin();
  for (; done != lead.read_rounds.end() && done->round <= confirmed; ++done) {
    for (const WaitingRead& read : done->reads) answer_read(read, done->index);
  }
  lead.read_rounds.erase(lead.read_rounds.begin(), done);
}

void Raft::answer_read(const WaitingRead& read, LogIndex index) {
  if (!read.from) {
    reads_.push_back({read.context, index});
    return;
  }
  Message m = make(MessageType::kReadIndexResponse, read.from);
  m.context = read.context;
  m.index = index;
  send(std::move(m));
}

void Raft::fail_leader_reads() {
  LeaderRole& lead = as<LeaderRole>();
  for (const ReadRound& round : lead.read_rounds) {
    for (const WaitingRead& read : round.reads) fail_read(read);
  }
  for (const WaitingRead& read : lead.waiting_reads) fail_read(read);
}

void Raft::on_read_request(Message& m) {
  as<LeaderRole>().find(m.from)->hear(now_);
  const WaitingRead read{m.context, m.from};
  if (pending_reads() >= config_.max_pending_reads) {
    fail_read(read);
  } else {
    as<LeaderRole>().waiting_reads.push_back(read);
  }
}

void Raft::refuse_read_request(Message& m) { fail_read({m.context, m.from}); }

// On a follower: one request to the leader carries all that wait.

/// Ids are never used again, not by another incarnation either (they start at random): an answer to
/// an earlier request would be older than the reads of a later one.
void Raft::forward_reads() {
  ForwardedReads& reads = as<FollowerRole>().reads;
  if (reads.waiting.empty() || reads.id != 0) return;
  std::swap(reads.sent, reads.waiting);
  while (reads.id == 0) reads.id = random_.next();
  reads.sent_at = now_;
  Message m = make(MessageType::kReadIndexRequest, leader());
  m.context = reads.id;
  send(std::move(m));
}

/// The request or its answer was lost: all go again, under a new id.
void Raft::retry_forwarded_reads() {
  ForwardedReads& reads = as<FollowerRole>().reads;
  if (reads.id == 0 || now_ < reads.sent_at + config_.election_timeout_min) return;
  reads.waiting.insert(reads.waiting.end(), reads.sent.begin(), reads.sent.end());
  reads.sent.clear();
  reads.id = 0;
}

void Raft::on_read_response(Message& m) {
  ForwardedReads& reads = as<FollowerRole>().reads;
  if (m.from != leader() || reads.id == 0 || m.context != reads.id) {
    drop_stale(m);
    return;
  }
  for (uint64_t context : reads.sent) {
    if (m.reject) {
      fail_read({context, NodeId()});
    } else {
      reads_.push_back({context, m.index});
    }
  }
  reads.sent.clear();
  reads.id = 0;
}

void Raft::fail_follower_reads() {
  const ForwardedReads& reads = as<FollowerRole>().reads;
  for (uint64_t context : reads.sent) fail_read({context, NodeId()});
  for (uint64_t context : reads.waiting) fail_read({context, NodeId()});
}

}  // namespace holdfast::raft
