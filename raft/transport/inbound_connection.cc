#include "raft/transport/inbound_connection.h"

namespace holdfast::raft {

namespace {

/// Enough for a hello and for the genesis of the largest cluster.
constexpr uint32_t kMaxStrangerFrameBytes = 128 << 10;

net::FrameOptions frame_options(const TransportOptions& options) {
  return {.max_frame_bytes = kMaxStrangerFrameBytes,
          .goes_first = true,
          .max_output_bytes = 1 << 20,
          .frame_timeout = options.handshake_timeout,
          .write_timeout = options.dead_after,
          .idle_timeout = options.handshake_timeout,
          .dead_after = options.dead_after};
}

}  // namespace

InboundConnection::InboundConnection(TransportContext& context, net::Socket socket, Owner& owner)
    : context_(context),
      owner_(owner),
      connection_(context.loop, std::move(socket), frame_options(context.options), *this) {}

void InboundConnection::on_frame(net::FrameConnection&, std::string_view payload) {
  has_spoken_ = true;
  Result<PeerFrame> frame = decode_frame(payload);
  if (!frame) return end(frame.error().message);
  if (owner_.silent()) return end("");
  if (auto* message = std::get_if<MessageFrame>(&*frame))
    return handle_of_peer(std::move(*message));
  std::visit([this](const auto& any) { handle(any); }, *frame);
}

void InboundConnection::on_closed(net::FrameConnection&, const net::CloseReason& reason) {
  using net::CloseCause;
  const bool harmless = reason.cause == CloseCause::kPeerClosed ||
                        reason.cause == CloseCause::kIdle || reason.cause == CloseCause::kLocal;
  owner_.on_inbound_closed(*this, harmless ? "" : reason.error.message);
}

void InboundConnection::end(const std::string& complaint) {
  const std::string from = net::to_string(connection_.peer());
  connection_.close();
  owner_.on_inbound_closed(*this, complaint.empty() ? "" : from + ": " + complaint);
}

void InboundConnection::handle(const Hello& hello) {
  if (hello_) return end("a second hello on one connection");
  hello_ = hello;
  const std::optional<HelloRefusal> refusal = owner_.judge_hello(hello);
  reply(HelloReply{.accepted = !refusal,
                   .removed = refusal && refusal->removed,
                   .reason = refusal ? refusal->reason : "",
                   .self = context_.self,
                   .flags = context_.options.must_agree});
  if (refusal) {
    // An empty server waits for the genesis that may follow; all others are done.
    if (context_.self.formed()) connection_.close_after_flush();
    return;
  }
  peer_ = hello.self.node;
  lane_ = hello.lane;
  connection_.set_max_frame_bytes(context_.options.max_frame_bytes);
  connection_.set_idle_timeout(0s);  // TCP keepalive finds the half-open ones
  owner_.on_inbound_agreed(*this, hello);
}

void InboundConnection::handle(const IdentityQuery& query) {
  // A server without entry 1 asks again.
  if (owner_.knows_no_members()) return end("");
  reply(IdentityReply{.self = context_.self,
                      .asker_store = owner_.store_of(query.asker),
                      .bootstraps = context_.options.bootstraps,
                      .listed = context_.options.listed,
                      .asker_removed = owner_.has_removed(query.asker)});
  connection_.close_after_flush();  // who asks again begins again: no stranger stays for ever
}

void InboundConnection::handle(const GenesisOffer& offer) {
  connection_.set_idle_timeout(0s);  // the sync may take its time
  owner_.on_genesis_offer(*this, offer.genesis);
}

void InboundConnection::answer_genesis(const Status& taken) {
  reply(GenesisReply{taken.ok(), taken.ok() ? "" : taken.error().message});
  connection_.close_after_flush();
}

std::optional<std::string> InboundConnection::wrong_route(ClusterId cluster, NodeId from,
                                                          NodeId to) const {
  if (!agreed()) return "a message before the hello";
  const auto differs = [](const char* what, uint64_t got, uint64_t expected) {
    return std::string("a message ") + what + " " + std::to_string(got) + ", expected " +
           std::to_string(expected);
  };
  const PeerIdentity& self = context_.self;
  if (cluster != self.cluster) return differs("of cluster", cluster.value, self.cluster.value);
  if (from != peer_) return differs("from node", from.value, peer_.value);
  if (to != self.node) return differs("to node", to.value, self.node.value);
  return {};
}

void InboundConnection::handle(const AppFrame& app) {
  if (const auto wrong = wrong_route(app.cluster, app.from, app.to)) return end(*wrong);
  owner_.on_inbound_app(*this, app);
}

void InboundConnection::handle_of_peer(MessageFrame&& frame) {
  const Message& message = frame.message;
  if (const auto wrong = wrong_route(frame.cluster, message.from, message.to)) return end(*wrong);
  owner_.on_inbound_message(*this, std::move(frame.message));
}

template <class Other>
void InboundConnection::handle(const Other&) {
  end("an answer that nobody asked for");
}

}  // namespace holdfast::raft
