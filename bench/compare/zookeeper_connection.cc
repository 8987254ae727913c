#include "bench/compare/zookeeper_connection.h"

#include "bench/load/measure.h"

namespace holdfast::bench {
namespace {

/// Longer than a run: within tickTime's twentyfold, which servers grant. Every session of the bench
/// is busy, so no pings are sent.
constexpr int32_t kSessionTimeoutMs = 40'000;
constexpr int32_t kEventXid = -1;
constexpr size_t kPasswordBytes = 16;

}  // namespace

ZooKeeperConnection::ZooKeeperConnection(net::Loop& loop, const net::Address& server, size_t lane,
                                         Owner& owner)
    : lane_(lane),
      owner_(owner),
      connection_(net::FrameConnection::dial(loop, server, net::FrameOptions{}, *this)) {}

/// ConnectRequest of a new session.
void ZooKeeperConnection::on_connected(net::FrameConnection&) {
  connection_->send_with([](std::string& out) {
    constexpr int32_t protocol_version = 0;
    constexpr int64_t last_zxid_seen = 0;
    constexpr int64_t session = 0;
    constexpr int8_t read_only = 0;
    JuteWriter(out)
        .put(protocol_version)
        .put(last_zxid_seen)
        .put(kSessionTimeoutMs)
        .put(session)
        .put(std::string(kPasswordBytes, '\0'))
        .put(read_only);
  });
}

void ZooKeeperConnection::on_connect_response(JuteReader response) {
  response.read<int32_t>();  // protocol version
  const auto timeout_ms = response.read<int32_t>();
  if (!response.ok() || timeout_ms <= 0) fail("ZooKeeper refused a new session");
  open_ = true;
  owner_.on_session(lane_);
}

void ZooKeeperConnection::on_frame(net::FrameConnection&, std::string_view payload) {
  JuteReader reply(payload);
  if (!open_) return on_connect_response(reply);
  const auto xid = reply.read<int32_t>();
  reply.read<int64_t>();  // zxid
  const auto error = reply.read<int32_t>();
  if (xid == kEventXid) {
    reply.read<int32_t>();  // type
    reply.read<int32_t>();  // state
    return owner_.on_event(lane_, reply.read_bytes());
  }
  if (!reply.ok() || waiting_.empty() || xid != ++answered_xid_) {
    fail("ZooKeeper answered what was not asked");
  }
  const Call call = waiting_.front();
  waiting_.pop_front();
  owner_.on_reply(call, error, reply);
}

void ZooKeeperConnection::on_closed(net::FrameConnection&, const net::CloseReason& reason) {
  owner_.on_session_lost(lane_, reason.error.message);
}

}  // namespace holdfast::bench
