// What leaves the core: Ready, its writes, the messages that wait for them, the entries to apply.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "raft/core/raft.h"

namespace holdfast::raft {

Message Raft::make(MessageType type, NodeId to) const {
  Message m;
  m.type = type;
  m.group = config_.group;
  m.from = id();
  m.to = to;
  m.term = term();
  return m;
}

/// Holds a promise until the hard state, and the log to `log_through`, are on disk.
void Raft::send_when_durable(Message&& m, LogIndex log_through) {
  const uint64_t write =
      std::max(hard_state_write(), log_.write_covering(log_through, next_write_));
  if (write <= persisted_write_) {
    send(std::move(m));
  } else if (!coalesce_held(write, m)) {
    held_.push_back({write, std::move(m)});
  }
}

/// Acknowledgements that wait for the same write become the furthest of them.
bool Raft::coalesce_held(uint64_t write, const Message& m) {
  if (m.type != MessageType::kAppendResponse) return false;
  for (HeldMessage& held : held_) {
    if (held.write == write && held.message.type == m.type && held.message.to == m.to) {
      held.message.index = std::max(held.message.index, m.index);
      return true;
    }
  }
  return false;
}

void Raft::release_held() {
  auto kept = held_.begin();
  for (auto held = held_.begin(); held != held_.end(); ++held) {
    if (held->write <= persisted_write_) {
      send(std::move(held->message));
    } else if (kept != held) {
      *kept++ = std::move(*held);
    } else {
      ++kept;
    }
  }
  held_.erase(kept, held_.end());
}

void Raft::persisted(uint64_t write_number, Instant now) {
  HF_CHECK(write_number < next_write_, "persisted a write that was never handed out");
  HF_CHECK(write_number >= persisted_write_, "writes persist in order");
  if (inert()) return;
  advance_clock(now);
  persisted_write_ = write_number;
  log_.persisted(write_number);
  release_held();
  if (is<CandidateRole>()) count_own_vote();
  if (!is<LeaderRole>()) return;
  as<LeaderRole>().stored_at = now_;
  maybe_commit();
}

void Raft::applied(LogIndex index) {
  HF_CHECK(index <= handed_out_, "applied what was never handed out");
  HF_CHECK(index >= applied_, "applied index goes back");
  applied_ = index;
}

void Raft::entries_available() {
  apply_reader_unavailable_ = false;
  if (!is<LeaderRole>()) return;
  for (Peer& peer : as<LeaderRole>().peers) peer.reader_unavailable = false;
}

bool Raft::has_ready() const {
  if (violation_) return !violation_reported_;
  if (hard_state_dirty_ || log_.has_unwritten() || may_hand_out()) return true;
  if (!messages_.empty() || !reads_.empty() || !failed_reads_.empty()) return true;
  if (soft_state() != reported_ || snapshot_offer_ || configuration_news_) return true;
  if (is<LeaderRole>()) return leader_has_output();
  if (!is<FollowerRole>()) return false;
  const ForwardedReads& forwarded = as<FollowerRole>().reads;
  return !forwarded.waiting.empty() && forwarded.id == 0;
}

void Raft::take_ready(Ready& out) {
  out.clear();
  if (violation_) {
    if (!violation_reported_) out.violation = violation_;
    violation_reported_ = true;
    return;
  }
  if (is<LeaderRole>()) settle_membership();
  if (is<LeaderRole>()) {
    if (may_start_read_round()) start_read_round();
    for (Peer& peer : as<LeaderRole>().peers) replicate_to(peer);
  } else if (is<FollowerRole>()) {
    forward_reads();
  }
  if (soft_state() != reported_) {
    reported_ = soft_state();
    out.soft_state = reported_;
  }
  if (configuration_news_) out.configuration = configuration();
  configuration_news_ = false;
  take_write(out.write);
  hand_out(out.committed);
  out.backlog = std::exchange(sent_backlog_, false);
  std::swap(out.messages, messages_);
  std::swap(out.reads, reads_);
  std::swap(out.failed_reads, failed_reads_);
  std::swap(out.snapshot_offer, snapshot_offer_);
  // What is held up is read again when it is applied: no memory is bound by it meanwhile.
  const LogIndex kept = apply_held_ ? log_.durable() : handed_out_;
  log_.evict(kept.next(), config_.window_bytes);
}

void Raft::take_write(Write& out) {
  if (!hard_state_dirty_ && !log_.has_unwritten()) return;
  out.number = next_write_++;
  if (hard_state_dirty_) {
    out.hard_state = hard_state_;
    hard_state_dirty_ = false;
    hard_state_write_ = out.number;
  }
  for (LogIndex i = log_.unwritten(); i <= log_.last(); ++i) {
    out.entries.push_back(log_.window().at(i));
  }
  log_.written(out.number);
}

/// Figure 2, all servers: "if commitIndex > lastApplied: increment lastApplied, apply
/// log[lastApplied] to state machine".
void Raft::hand_out(std::vector<Entry>& out) {
  if (!may_hand_out()) return;
  const EntryWindow& window = log_.window();
  const LogIndex next = handed_out_.next();
  if (next < window.begin()) {
    ++counters_.log_reads;
    const LogIndex end = std::min(commit_.next(), window.begin());
    const LogReader::Outcome outcome = reader_.entries(next, end, config_.max_committed_bytes, out);
    apply_reader_unavailable_ = outcome == LogReader::Outcome::kUnavailable;
    if (apply_reader_unavailable_) return;
    HF_CHECK(!out.empty() && out.front().index == next && out.back().index < end,
             "LogReader answered another question");
  } else {
    uint64_t bytes = 0;
    for (LogIndex i = next; i <= commit_; ++i) {
      bytes += entry_bytes(window.at(i));
      if (bytes > config_.max_committed_bytes && !out.empty()) break;
      out.push_back(window.at(i));
    }
  }
  handed_out_ = out.back().index;
  HF_CHECK(handed_out_ <= commit_, "only committed entries are applied");
}

}  // namespace holdfast::raft
