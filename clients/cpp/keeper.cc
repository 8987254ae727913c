#include "clients/cpp/keeper.h"

#include <algorithm>

namespace holdfast::client {
namespace {

constexpr Duration kParkMax = 60s;
constexpr Duration kPatienceMin = 50ms;
constexpr int kDoublingsMax = 10;
constexpr size_t kFlightsMax = 4;
constexpr Duration kRefusalDelayMin = 20ms;
constexpr Duration kRefusalDelayMax = 500ms;
// A server that answers empty polls faster than this is asked no more often: it has no room to
// park.
constexpr Duration kEmptyPollPause = 50ms;

bool tells_nothing(const api::PollResult& result) {
  return result.grants.empty() && result.losses.empty() && result.watches.empty() && !result.more;
}

bool ends_session(ErrorCode code) {
  return code == ErrorCode::kSessionExpired || code == ErrorCode::kSessionUnknown;
}

}  // namespace

Keeper::Keeper(ServerPool& pool, Events& events, api::RequestContext context, int64_t ttl_ms)
    : pool_(pool),
      events_(events),
      context_(std::move(context)),
      park_(std::min(from_ms(ttl_ms / 4), kParkMax)),
      patience_(std::max(from_ms(ttl_ms / 16), kPatienceMin)),
      timer_(pool.loop(), [this] { on_timer(); }) {
  context_.deadlineMs = to_ms(park_ + patience_);
}

Keeper::~Keeper() { stop(); }

void Keeper::stop() {
  stopped_ = true;
  timer_.cancel();
  for (const Flight& flight : flights_) {
    if (const auto connection = flight.connection.lock()) connection->forget(flight.seqid);
  }
  flights_.clear();
}

// API: the acknowledgement is the delivery number of this server's last reply.
api::PollRequest Keeper::make_request(const Server& server, bool renew) const {
  api::PollRequest request;
  request.acknowledgedDelivery = &server == last_server_ ? last_delivery_ : 0;
  request.maxWaitMs = to_ms(park_);
  request.renewNow = renew;
  request.acknowledgedNotices = to_acknowledge_;
  request.pollNumber = static_cast<int64_t>(last_tag_);
  return request;
}

void Keeper::poll(const Server* avoid, bool renew) {
  Server* server = pool_.pick(avoid);
  if (server == nullptr) return poll_later(pool_.next_try() - pool_.loop().now(), avoid, renew);
  if (flights_.size() >= kFlightsMax) drop_oldest();
  Connection& connection = pool_.connect(*server);
  Flight flight;
  flight.tag = ++last_tag_;
  flight.server = server;
  flight.connection = connection.weak_from_this();
  flight.sent = pool_.loop().clock().now();
  flight.owed_since = flight.sent + (renew ? Duration(0) : park_);
  flight.due = flight.owed_since + patience_with(renew);
  flight.seqid = connection.send<Poll>(context_, make_request(*server, renew), *this, flight.tag);
  timer_.arm(flight.due);
  flights_.push_back(std::move(flight));
}

// A reply is taken up only if no other poll was sent before it came: where answers take longer than
// the patience none would ever be, if it did not grow.
Duration Keeper::patience_with(bool renew) const {
  if (!renew) return patience_;
  const int doublings = std::clamp(overdue_ - 1, 0, kDoublingsMax);
  return std::min(patience_ * (1 << doublings), park_ + patience_);
}

void Keeper::poll_later(Duration delay, const Server* avoid, bool renew) {
  next_avoid_ = avoid;
  next_renew_ = renew;
  timer_.arm_after(std::max(delay, Duration(0)));
}

void Keeper::drop_oldest() {
  const Flight& oldest = flights_.front();
  if (const auto connection = oldest.connection.lock()) connection->forget(oldest.seqid);
  flights_.erase(flights_.begin());
}

Keeper::Flight Keeper::take_flight(uint64_t tag) {
  const auto at = std::find_if(flights_.begin(), flights_.end(),
                               [&](const Flight& flight) { return flight.tag == tag; });
  if (at == flights_.end()) return {};
  Flight flight = std::move(*at);
  flights_.erase(at);
  return flight;
}

void Keeper::on_timer() {
  const bool newest_unanswered = !flights_.empty() && flights_.back().tag == last_tag_;
  if (!newest_unanswered) return poll(next_avoid_, next_renew_);
  overdue(flights_.back());
}

// API, poll: when a reply is TTL/16 overdue, another server is asked with renewNow. A server that
// has said nothing at all for longer than its patience is given up besides.
void Keeper::overdue(const Flight& newest) {
  silence_ = true;
  ++overdue_;
  Server* const server = newest.server;
  const Instant owed_since = newest.owed_since;
  const auto connection = newest.connection.lock();
  const bool silent = connection != nullptr && connection->last_received() <= owed_since;
  poll(server, true);
  if (silent && pool_.loop().now() - owed_since >= server->patience) pool_.gave_no_answer(*server);
}

void Keeper::on_reply(uint64_t tag, Connection& from, Reply& reply) {
  api::PollResult result;
  api::HoldfastError error;
  bool failed = false;
  if (!reply.read<Poll>(result, error, &failed)) return on_lost(tag, from);
  const Flight flight = take_flight(tag);
  if (flight.tag == 0) return;
  pool_.answered(*flight.server, failed ? error.header : result.header);
  if (stopped_) return;
  if (failed) {
    refused(flight, error);
  } else {
    answered(flight, result);
  }
}

// Also of a reply that is not taken up: it renews, so what its server does not know to tell must be
// asked for. Not of one that was overtaken by the reply to a later poll.
bool Keeper::comes_elsewhere(const Flight& flight) {
  if (flight.tag < heard_tag_) return false;
  const bool elsewhere = heard_ != flight.server || silence_;
  heard_ = flight.server;
  heard_tag_ = flight.tag;
  silence_ = false;
  return elsewhere;
}

void Keeper::answered(const Flight& flight, const api::PollResult& result) {
  const bool newest = flight.tag == last_tag_;
  const bool first = heard_ == nullptr;
  const bool elsewhere = comes_elsewhere(flight);
  const bool changed = elsewhere && !first;
  if (newest) {
    overdue_ = 0;
    last_server_ = flight.server;
    last_delivery_ = result.delivery;
  }
  refusals_ = 0;
  const std::vector<int64_t> notices_before = to_acknowledge_;
  events_.on_poll(result, {flight.sent, flight.server, newest});
  if (!stopped_ && changed) events_.on_server_changed();
  if (stopped_ || !newest || flight.tag != last_tag_) return;
  const Duration took = pool_.loop().clock().now() - flight.sent;
  const Duration pause = std::min(kEmptyPollPause, park_ / 2);
  const bool news = elsewhere || !tells_nothing(result) || to_acknowledge_ != notices_before;
  if (news || took >= pause) return poll(nullptr, false);
  poll_later(pause, nullptr, false);
}

void Keeper::refused(const Flight& flight, const api::HoldfastError& refusal) {
  const CallError error = to_call_error(refusal);
  if (ends_session(error.code)) {
    stop();
    return events_.on_session_over(error);
  }
  if (flight.tag != last_tag_) return;
  silence_ = true;
  const bool elsewhere = error.code == ErrorCode::kNoLeader ||
                         error.code == ErrorCode::kShuttingDown || !error.retryable;
  const Duration own =
      std::min(kRefusalDelayMin * (1 << std::min(refusals_++, 5)), Duration(kRefusalDelayMax));
  poll_later(std::max(own, error.retry_after), elsewhere ? flight.server : nullptr, true);
}

void Keeper::on_lost(uint64_t tag, Connection&) {
  const Flight flight = take_flight(tag);
  if (stopped_ || flight.tag != last_tag_) return;
  silence_ = true;
  poll_later(Duration(0), flight.server, true);
}

}  // namespace holdfast::client
