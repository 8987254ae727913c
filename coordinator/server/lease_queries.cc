#include "coordinator/server/lease_queries.h"

#include <algorithm>
#include <iterator>
#include <unordered_map>
#include <utility>

namespace holdfast::server {

// Numbers begin at random: a late reply to an earlier process finds no query.
LeaseQueries::LeaseQueries(Host& host, PeerCodec& codec, LeaseLeft own)
    : host_(host), codec_(codec), own_(std::move(own)), last_number_(host.entropy.next_id() >> 1) {}

void LeaseQueries::ask(std::vector<SessionId> sessions, Instant deadline, Answer answer) {
  std::sort(sessions.begin(), sessions.end());
  sessions.erase(std::unique(sessions.begin(), sessions.end()), sessions.end());
  const size_t count = sessions.size();
  const bool room = count <= kSessionsPerQuery && sessions_waiting_ + count < kSessionsWaiting;
  if (host_.serving || !room) return answer(here());
  sessions_waiting_ += count + 1;
  gathered_.push_back(
      {std::move(sessions), std::min(deadline, host_.clock.now() + kWait), std::move(answer)});
}

LeaderView LeaseQueries::here() const {
  return {own_, host_.serving ? host_.cluster_now_ms() : host_.machine.cluster_time_ms()};
}

void LeaseQueries::flush() {
  if (gathered_.empty()) return;
  Query query;
  for (Ask& ask : std::exchange(gathered_, {})) {
    if (query.sessions.size() + ask.sessions.size() > kSessionsPerQuery) {
      send(std::exchange(query, {}));
    }
    query.sessions.insert(query.sessions.end(), ask.sessions.begin(), ask.sessions.end());
    query.asks.push_back(std::move(ask));
  }
  send(std::move(query));
}

// The bulk lane: an operator's page never stands in front of a renewal.
void LeaseQueries::send(Query&& query) {
  query.leader = host_.other_leader();
  if (!query.leader) return go_without(query.asks);
  const uint64_t number = ++last_number_;
  peer::LeaseQuery message;
  message.request = static_cast<int64_t>(number);
  for (const SessionId id : query.sessions) {
    message.sessionIds.push_back(static_cast<int64_t>(id.value));
  }
  const bool sent =
      host_.transport.send_app(query.leader, raft::Lane::kBulk,
                               static_cast<uint8_t>(PeerKind::kLeaseQuery), codec_.encode(message));
  if (!sent) return go_without(query.asks);
  for (const Ask& ask : query.asks) deadlines_.add(number, ask.deadline);
  sent_.emplace(number, std::move(query));
}

void LeaseQueries::finish(const std::vector<Ask>& asks, const LeaderView& view) {
  for (const Ask& ask : asks) {
    sessions_waiting_ -= ask.sessions.size() + 1;
    ask.answer(view);
  }
}

void LeaseQueries::on_leader_changed() {
  const std::map<uint64_t, Query> sent = std::exchange(sent_, {});
  for (const auto& [number, query] : sent) go_without(query.asks);
}

void LeaseQueries::receive_query(NodeId from, std::string_view bytes) {
  peer::LeaseQuery query;
  if (!codec_.decode(bytes, query) || query.sessionIds.size() > kSessionsPerQuery) return;
  peer::LeaseReply reply;
  reply.request = query.request;
  if (host_.serving) {
    reply.clusterTimeMs = host_.cluster_now_ms();
    for (const int64_t id : query.sessionIds) {
      reply.leaseLeftMs.push_back(own_(SessionId(static_cast<uint64_t>(id))));
    }
  }
  host_.transport.send_app(from, raft::Lane::kBulk, static_cast<uint8_t>(PeerKind::kLeaseReply),
                           codec_.encode(reply));
}

void LeaseQueries::receive_reply(NodeId from, std::string_view bytes) {
  peer::LeaseReply reply;
  if (!codec_.decode(bytes, reply)) return;
  const auto at = sent_.find(static_cast<uint64_t>(reply.request));
  if (at == sent_.end() || at->second.leader != from) return;
  const Query query = std::move(at->second);
  sent_.erase(at);
  std::unordered_map<SessionId, int64_t> known;
  const size_t count = std::min(query.sessions.size(), reply.leaseLeftMs.size());
  for (size_t i = 0; i < count; ++i) known.emplace(query.sessions[i], reply.leaseLeftMs[i]);
  const auto lease_left = [&known](SessionId id) {
    const auto left = known.find(id);
    return left == known.end() ? -1 : left->second;
  };
  finish(query.asks, {lease_left, std::max(reply.clusterTimeMs, host_.machine.cluster_time_ms())});
}

void LeaseQueries::sweep(Instant now) {
  std::vector<Ask> late;
  deadlines_.take_due(now, [&](uint64_t number) {
    const auto at = sent_.find(number);
    if (at == sent_.end()) return;
    std::vector<Ask>& asks = at->second.asks;
    const auto due = std::stable_partition(asks.begin(), asks.end(),
                                           [now](const Ask& ask) { return ask.deadline > now; });
    std::move(due, asks.end(), std::back_inserter(late));
    asks.erase(due, asks.end());
    if (asks.empty()) sent_.erase(at);
  });
  go_without(late);
}

void LeaseQueries::shut_down() {
  on_leader_changed();
  go_without(std::exchange(gathered_, {}));
}

}  // namespace holdfast::server
