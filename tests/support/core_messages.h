// Messages as a peer would send them, for tests that speak to one core directly.
#pragma once

#include <initializer_list>
#include <string_view>

#include "raft/core/types.h"

namespace holdfast::raft::testing {

inline Entry entry(uint64_t index, uint64_t term, std::string_view data = "x") {
  return {Term(term), LogIndex(index), EntryType::kCommand, Blob(data)};
}

inline Message message(MessageType type, int from, int to, uint64_t term) {
  Message m;
  m.type = type;
  m.from = NodeId(static_cast<uint64_t>(from));
  m.to = NodeId(static_cast<uint64_t>(to));
  m.term = Term(term);
  return m;
}

inline Message vote_request(int from, int to, uint64_t term, uint64_t index, uint64_t log_term) {
  Message m = message(MessageType::kVoteRequest, from, to, term);
  m.index = LogIndex(index);
  m.log_term = Term(log_term);
  return m;
}

inline Message pre_vote_request(int from, int to, uint64_t term, uint64_t index,
                                uint64_t log_term) {
  Message m = vote_request(from, to, term, index, log_term);
  m.type = MessageType::kPreVoteRequest;
  return m;
}

inline Message append(int from, int to, uint64_t term, uint64_t index, uint64_t log_term,
                      uint64_t commit, std::initializer_list<Entry> entries = {}) {
  Message m = message(MessageType::kAppendRequest, from, to, term);
  m.index = LogIndex(index);
  m.log_term = Term(log_term);
  m.commit = LogIndex(commit);
  m.entries = entries;
  return m;
}

inline Message append_ack(int from, int to, uint64_t term, uint64_t index) {
  Message m = message(MessageType::kAppendResponse, from, to, term);
  m.index = LogIndex(index);
  return m;
}

inline Message append_refusal(int from, int to, uint64_t term, uint64_t index, uint64_t hint,
                              uint64_t hint_term) {
  Message m = append_ack(from, to, term, index);
  m.reject = true;
  m.hint = LogIndex(hint);
  m.log_term = Term(hint_term);
  return m;
}

inline Message snapshot_offer(int from, int to, uint64_t term, uint64_t index, uint64_t log_term) {
  Message m = message(MessageType::kSnapshotRequest, from, to, term);
  m.index = LogIndex(index);
  m.log_term = Term(log_term);
  return m;
}

inline Message snapshot_answer(int from, int to, uint64_t term, uint64_t index) {
  Message m = message(MessageType::kSnapshotResponse, from, to, term);
  m.index = LogIndex(index);
  return m;
}

inline Message heartbeat(int from, int to, uint64_t term, uint64_t round, uint64_t match = 0,
                         uint64_t commit = 0) {
  Message m = message(MessageType::kHeartbeatRequest, from, to, term);
  m.round = round;
  m.index = LogIndex(match);
  m.commit = LogIndex(commit);
  return m;
}

}  // namespace holdfast::raft::testing
