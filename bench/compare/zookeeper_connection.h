// One ZooKeeper session on one connection: requests are answered in their order, events of watches
// come in between. ZooKeeper frames messages as Thrift's framed transport does, so the network code
// is the one that Holdfast's own clients use.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "base/net/frame_connection.h"
#include "bench/wire/jute.h"

namespace holdfast::bench {

/// ZooDefs.OpCode.
enum class ZooOp : int32_t {
  kCreate = 1,
  kDelete = 2,
  kGetData = 4,
  kSetData = 5,
  kList = 8,
  kSync = 9,
  kCloseSession = -11,
};

class ZooKeeperConnection final : private net::FrameConnection::Handler {
 public:
  /// A request by its operation and what the sender wants to be reminded of.
  struct Call {
    ZooOp op;
    uint64_t tag;
  };
  class Owner {
   public:
    virtual void on_session(size_t lane) = 0;
    /// `error` is ZooKeeper's (KeeperException.Code), 0 if all is well.
    virtual void on_reply(Call call, int32_t error, JuteReader body) = 0;
    /// A watched node changed.
    virtual void on_event(size_t lane, std::string_view path) = 0;
    virtual void on_session_lost(size_t lane, const std::string& why) = 0;

   protected:
    ~Owner() = default;
  };

  ZooKeeperConnection(net::Loop& loop, const net::Address& server, size_t lane, Owner& owner);

  /// `fill(JuteWriter&)` appends the request's body.
  template <class Fill>
  void call(Call what, Fill&& fill) {
    waiting_.push_back(what);
    connection_->send_with([&](std::string& out) {
      JuteWriter body(out);
      body.put(++last_xid_).put(static_cast<int32_t>(what.op));
      fill(body);
    });
  }

 private:
  void on_connected(net::FrameConnection&) override;
  void on_frame(net::FrameConnection&, std::string_view payload) override;
  void on_closed(net::FrameConnection&, const net::CloseReason& reason) override;
  void on_connect_response(JuteReader response);

  const size_t lane_;
  Owner& owner_;
  std::deque<Call> waiting_;
  int32_t last_xid_ = 0;
  int32_t answered_xid_ = 0;
  bool open_ = false;
  std::unique_ptr<net::FrameConnection> connection_;
};

}  // namespace holdfast::bench
