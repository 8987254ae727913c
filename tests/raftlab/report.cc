#include "tests/raftlab/report.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "raft/core/configuration.h"

namespace holdfast::raftlab {
namespace {

using raft::Configuration;
using raft::Entry;
using raft::EntryType;
using raft::Message;
using raft::RaftStatus;
using MT = raft::MessageType;
using Json = nlohmann::ordered_json;

constexpr std::array<const char*, raft::kMessageTypes> kTypeNames = {
    "pre_vote_request",   "pre_vote_response",   "vote_request",      "vote_response",
    "append_request",     "append_response",     "heartbeat_request", "heartbeat_response",
    "read_index_request", "read_index_response", "timeout_now",       "snapshot_request",
    "snapshot_response"};

const char* entry_type_name(EntryType type) {
  switch (type) {
    case EntryType::kNoop:
      return "noop";
    case EntryType::kCommand:
      return "command";
    case EntryType::kConfiguration:
      return "configuration";
    case EntryType::kGenesis:
      return "genesis";
  }
  return "unknown";
}

/// Numbers that may be too large for a JSON reader's arithmetic.
std::string hex(uint64_t value) {
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
  const std::string text(digits.data(), end);
  return std::string(digits.size() - text.size(), '0') + text;
}

Json ids(const std::vector<NodeId>& list) {
  Json all = Json::array();
  for (NodeId id : list) all.push_back(id.value);
  return all;
}

/// A configuration's bytes are told in words.
std::string entry_data(const Entry& entry) {
  if (entry.type != EntryType::kConfiguration) return std::string(entry.data.view());
  const Result<Configuration> configuration = raft::decode_configuration(entry.data.view());
  return configuration.ok() ? describe(*configuration) : configuration.error().message;
}

Json entries_json(const std::vector<Entry>& entries) {
  Json all = Json::array();
  for (const Entry& entry : entries) {
    all.push_back({{"index", entry.index.value},
                   {"term", entry.term.value},
                   {"type", entry_type_name(entry.type)},
                   {"data", entry_data(entry)}});
  }
  return all;
}

void add_fields_of_type(const Message& m, Json& out) {
  switch (m.type) {
    case MT::kPreVoteRequest:
    case MT::kVoteRequest:
      out["log_term"] = m.log_term.value;
      out["transfer"] = m.transfer;
      break;
    case MT::kAppendRequest:
      out["log_term"] = m.log_term.value;
      out["commit"] = m.commit.value;
      out["entries"] = entries_json(m.entries);
      break;
    case MT::kAppendResponse:
      out["reject"] = m.reject;
      out["hint"] = m.hint.value;
      out["log_term"] = m.log_term.value;
      break;
    case MT::kHeartbeatRequest:
      out["commit"] = m.commit.value;
      out["round"] = m.round;
      break;
    case MT::kHeartbeatResponse:
      out["reject"] = m.reject;
      out["round"] = m.round;
      break;
    case MT::kReadIndexRequest:
      out["context"] = hex(m.context);
      break;
    case MT::kReadIndexResponse:
      out["reject"] = m.reject;
      out["context"] = hex(m.context);
      break;
    case MT::kSnapshotRequest:
      out["log_term"] = m.log_term.value;
      break;
    case MT::kSnapshotResponse:
      break;
    default:
      out["reject"] = m.reject;
  }
}

Json message_json(const Message& m) {
  Json out{{"from", m.from.value},
           {"to", m.to.value},
           {"type", message_type_name(m.type)},
           {"term", m.term.value},
           {"index", m.index.value}};
  add_fields_of_type(m, out);
  return out;
}

/// A crashed node is what its disk holds; nothing is known to be committed.
RaftStatus status_when_down(const raft::testing::CoreNode& node, const Configuration& first) {
  const raft::InitialState disk = node.disk.recover(first);
  RaftStatus s;
  s.id = node.id;
  s.term = disk.hard_state.term;
  s.vote = disk.hard_state.vote;
  s.first = disk.first_index;
  s.last = disk.last_index;
  if (!disk.term_runs.empty()) s.last_term = disk.term_runs.back().term;
  s.configuration = disk.changes.empty() ? disk.configuration : disk.changes.back().configuration;
  return s;
}

Json progress_json(const RaftStatus& s) {
  Json all = Json::object();
  for (const raft::PeerStatus& peer : s.peers) {
    all[std::to_string(peer.id.value)] = {{"match", peer.match.value},
                                          {"next", peer.next.value},
                                          {"state", raft::progress_state_name(peer.state)},
                                          {"inflight", peer.inflight}};
  }
  return all;
}

/// A context that is a number in the script is one here.
Json read_name(const NodeView& view, uint64_t context) {
  const std::string& name = view.read_names.at(context);
  uint64_t number = 0;
  const char* end = name.data() + name.size();
  const auto [at, error] = std::from_chars(name.data(), end, number);
  const bool plain = error == std::errc() && at == end && std::to_string(number) == name;
  return plain ? Json(number) : Json(name);
}

void add_reads(const NodeView& view, Json& out) {
  out["reads"] = Json::array();
  for (const raft::ReadResult& read : view.node.reads) {
    out["reads"].push_back({{"ctx", read_name(view, read.context)}, {"index", read.index.value}});
  }
  out["failed_reads"] = Json::array();
  for (uint64_t context : view.node.failed_reads) {
    out["failed_reads"].push_back(read_name(view, context));
  }
}

}  // namespace

const char* message_type_name(MT type) { return kTypeNames.at(static_cast<size_t>(type)); }

std::optional<MT> message_type(std::string_view name) {
  const std::string request = std::string(name) + "_request";
  for (size_t i = 0; i < kTypeNames.size(); ++i) {
    if (name == kTypeNames[i] || request == kTypeNames[i]) return static_cast<MT>(i);
  }
  return std::nullopt;
}

std::string status_line(const NodeView& view, const Configuration& first,
                        const std::vector<Message>& network) {
  const bool up = view.node.core != nullptr;
  const RaftStatus s = up ? view.node.core->status() : status_when_down(view.node, first);
  Json out{{"id", s.id.value},           {"term", s.term.value},
           {"vote", s.vote.value},       {"role", up ? raft::role_name(s.role) : "down"},
           {"leader", s.leader.value},   {"commit", s.commit.value},
           {"applied", s.applied.value}, {"first", s.first.value},
           {"last", s.last.value},       {"last_term", s.last_term.value}};
  out["config"] = {{"voters", ids(s.configuration.voters)},
                   {"outgoing", ids(s.configuration.outgoing)},
                   {"learners", ids(s.configuration.learners)}};
  out["progress"] = progress_json(s);
  out["pending_reads"] = s.pending_reads;
  add_reads(view, out);
  out["digest"] = hex(view.digest);
  out["messages"] = Json::array();
  for (const Message& m : network) {
    if (m.from == s.id) out["messages"].push_back(message_json(m));
  }
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace holdfast::raftlab
