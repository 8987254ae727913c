#include "raft/transport/outbound_lane.h"

#include <algorithm>

#include "raft/transport/handshake.h"

namespace holdfast::raft {

namespace {

/// Replies to the handshake are all that ever comes back on a dialled connection.
constexpr uint32_t kMaxReplyBytes = 64 << 10;
/// A lane that fell sooner than this after it came up waits before it dials again.
constexpr Duration kSteady = 100ms;
/// The other side syncs entry 1 to its disk before it answers.
constexpr Duration kGenesisTimeout = 10s;

}  // namespace

OutboundLane::OutboundLane(TransportContext& context, const PeerSpec& peer, Lane lane,
                           Listener& listener)
    : context_(context),
      peer_(peer),
      lane_(lane),
      listener_(listener),
      redial_(context.loop, [this] { dial(); }) {
  dial();
}

void OutboundLane::poke() {
  if (state_ != State::kWaiting) return;
  failures_ = 0;
  dial();
}

void OutboundLane::dial() {
  redial_.cancel();
  state_ = State::kDialling;
  connection_ = net::FrameConnection::dial(context_.loop, peer_.address, frame_options(), *this);
}

net::FrameOptions OutboundLane::frame_options() const {
  const TransportOptions& options = context_.options;
  const size_t queue =
      lane_ == Lane::kControl ? options.control_queue_bytes : options.bulk_queue_bytes;
  return {.max_frame_bytes = kMaxReplyBytes,
          .goes_first = true,
          .max_output_bytes = queue + options.max_frame_bytes,
          .connect_timeout = options.connect_timeout,
          .frame_timeout = options.handshake_timeout,
          .write_timeout = options.dead_after,
          .dead_after = options.dead_after};
}

bool OutboundLane::has_room(size_t size) const {
  const TransportOptions& options = context_.options;
  const size_t queue =
      lane_ == Lane::kControl ? options.control_queue_bytes : options.bulk_queue_bytes;
  return size <= options.max_frame_bytes && connection_->output_bytes() + size <= queue;
}

size_t OutboundLane::queued_bytes() const {
  return connection_ == nullptr ? 0 : connection_->output_bytes();
}

void OutboundLane::on_connected(net::FrameConnection& connection) {
  state_ = State::kShakingHands;
  connection.set_idle_timeout(context_.options.handshake_timeout);
  const Hello hello{.lane = lane_,
                    .self = context_.self,
                    .expected_node = peer_.id,
                    .expected_store = peer_.store,
                    .flags = context_.options.must_agree};
  connection.send_with([&](std::string& out) { encode(hello, out); });
}

void OutboundLane::on_frame(net::FrameConnection& connection, std::string_view payload) {
  const Result<PeerFrame> frame = decode_frame(payload);
  if (!frame) {
    give_up_on(net::to_string(connection.peer()) +
               " answered with a bad frame: " + frame.error().message);
  } else if (const auto* reply = std::get_if<HelloReply>(&*frame);
             reply != nullptr && state_ == State::kShakingHands) {
    handle_reply(*reply);
  } else if (const auto* taken = std::get_if<GenesisReply>(&*frame);
             taken != nullptr && state_ == State::kOfferingGenesis) {
    handle_genesis_reply(*taken);
  } else {
    give_up_on(net::to_string(connection.peer()) + " sent a frame that is no answer");
  }
}

void OutboundLane::handle_reply(const HelloReply& reply) {
  if (lacks_genesis(reply)) return bring_genesis(reply.reason);
  const auto reason =
      refuse_reply(context_.self, context_.options.must_agree, peer_, context_.level, reply);
  if (reason) {
    give_up_on(*reason);
    if (says_removed(reply)) listener_.on_removed(*this, reply.reason);
    return;
  }
  state_ = State::kUp;
  failures_ = 0;
  problem_.clear();
  up_since_ = context_.loop.now();
  connection_->set_idle_timeout(0s);  // nothing more comes this way
  listener_.on_lane_up(*this, reply.self);
}

bool OutboundLane::says_removed(const HelloReply& reply) const {
  return reply.removed && reply.self.cluster == context_.self.cluster &&
         reply.self.node == peer_.id && reply.self.store == peer_.store;
}

bool OutboundLane::lacks_genesis(const HelloReply& reply) const {
  return !reply.accepted && !reply.self.formed() && reply.self.node == peer_.id &&
         reply.self.store == peer_.store && peer_.store && !context_.genesis.empty();
}

// One lane offers it; the other tries again, or is dialled when the server that took it dials us.
void OutboundLane::bring_genesis(const std::string& reason) {
  if (lane_ != Lane::kControl) {
    connection_->close();
    problem_ = reason;
    return redial_after(next_backoff());
  }
  state_ = State::kOfferingGenesis;
  connection_->set_idle_timeout(kGenesisTimeout);
  connection_->send_with([&](std::string& out) { encode(GenesisOffer{context_.genesis}, out); });
}

void OutboundLane::handle_genesis_reply(const GenesisReply& reply) {
  if (!reply.accepted) return give_up_on(reply.reason);
  failures_ = 0;
  connection_->close();
  redial_after(0s);
}

void OutboundLane::give_up_on(const std::string& detail) {
  connection_->close();
  // Trying often cannot help: somebody has to change something. A restart over there dials us.
  failures_ = 1000;
  problem_ = detail;
  redial_after(next_backoff());
  listener_.on_lane_mismatch(*this, detail);
}

void OutboundLane::on_closed(net::FrameConnection&, const net::CloseReason& reason) {
  const bool was_up = up();
  const bool was_steady = was_up && context_.loop.now() - up_since_ >= kSteady;
  problem_ = reason.error.message;
  // At once after a loss: a refusal, or another incarnation, is evidence that the process is gone.
  redial_after(was_steady ? Duration{0} : next_backoff());
  if (was_up) {
    listener_.on_lane_lost(*this, problem_);
  } else if (reason.cause == net::CloseCause::kRefused) {
    listener_.on_lane_refused(*this, problem_);
  }
}

void OutboundLane::redial_after(Duration delay) {
  state_ = State::kWaiting;
  if (delay == Duration{0}) return dial();
  redial_.arm_after(delay);
}

Duration OutboundLane::next_backoff() {
  const TransportOptions& options = context_.options;
  Duration pause = options.backoff_min;
  for (int i = 0; i < failures_ && pause < options.backoff_max; ++i) pause *= 2;
  pause = std::min(pause, options.backoff_max);
  ++failures_;
  // Up to half of it less: servers that lost each other together do not dial together.
  return pause - Duration(static_cast<int64_t>(
                     context_.random.below(static_cast<uint64_t>(pause.count() / 2 + 1))));
}

}  // namespace holdfast::raft
