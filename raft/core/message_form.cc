#include "raft/core/message_form.h"

#include "raft/core/configuration.h"

namespace holdfast::raft {
namespace {

bool in_range(const Message& m) {
  return static_cast<int>(m.type) < kMessageTypes && m.term.value < kMaxOrdinal &&
         m.index.value < kMaxOrdinal && m.commit.value < kMaxOrdinal &&
         m.hint.value < kMaxOrdinal && m.log_term.value < kMaxOrdinal &&
         m.entries.size() < kMaxOrdinal;
}

/// Only entry 0, which does not exist, has term 0.
bool names_position(const Message& m) {
  return static_cast<bool>(m.index) == static_cast<bool>(m.log_term);
}

bool vote_request(const Message& m) {
  return m.term && m.log_term < m.term && names_position(m) && m.entries.empty();
}

/// Entries follow `index` without a gap; their terms ascend from the previous entry's to the
/// leader's; configurations can be read.
bool append(const Message& m) {
  if (!m.term || !names_position(m)) return false;
  LogIndex index = m.index;
  Term term = m.log_term;
  for (const Entry& entry : m.entries) {
    if (entry.index != index.next() || entry.term < term || !entry.term) return false;
    if (entry.type == EntryType::kConfiguration && !decode_configuration(entry.data.view()).ok()) {
      return false;
    }
    index = entry.index;
    term = entry.term;
  }
  return term <= m.term;
}

/// Entry 0, which does not exist, is never compacted.
bool snapshot_offer(const Message& m) {
  return m.index && m.log_term && m.log_term <= m.term && m.entries.empty();
}

}  // namespace

bool well_formed(const Message& m) {
  if (!in_range(m)) return false;
  switch (m.type) {
    case MessageType::kPreVoteRequest:
    case MessageType::kVoteRequest:
      return vote_request(m);
    case MessageType::kAppendRequest:
      return append(m);
    case MessageType::kAppendResponse:
      return m.entries.empty() && (!m.reject || m.hint <= m.index);
    case MessageType::kHeartbeatRequest:
      return m.term && m.entries.empty() && m.commit <= m.index && m.log_term <= m.term;
    case MessageType::kSnapshotRequest:
      return snapshot_offer(m);
    case MessageType::kSnapshotResponse:
      return m.index && !m.reject && m.entries.empty();
    case MessageType::kTimeoutNow:
      return m.term && m.entries.empty();
    default:
      return m.entries.empty();
  }
}

}  // namespace holdfast::raft
