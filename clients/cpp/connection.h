// One connection to one server that carries any number of calls at once. Calls made in one loop
// turn leave with one send; replies come in any order and are matched by the seqid.
//
// Any doubt about what came back (not a reply, malformed, another call's name, another sequence's
// echo) ends the connection: every call outstanding on it is then lost, and nobody ever gets
// another call's answer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/net/frame_connection.h"
#include "clients/cpp/codec.h"

namespace holdfast::client {

class Connection;

/// One reply, valid while ReplySink::on_reply runs.
class Reply {
 public:
  /// Decodes it as the answer to `Call`; `result` should be fresh. False: the reply is damaged or
  /// not ours; the call counts as lost and the connection ends when the sink returns.
  template <class Call>
  bool read(typename Call::Result& result, api::HoldfastError& error, bool* failed) {
    ok_ = codec_.read_reply<Call>(result, error, failed) &&
          echo_matches(*failed ? error.header : result.header);
    return ok_;
  }

 private:
  friend class Connection;
  Reply(Codec& codec, int64_t sequence) : codec_(codec), sequence_(sequence) {}
  /// A header without revision and cluster comes from a server that could not read the request.
  bool echo_matches(const api::ResponseHeader& header) const {
    return header.sequence == sequence_ || (header.sequence == 0 && header.revision == 0);
  }

  Codec& codec_;
  int64_t sequence_;
  bool ok_ = false;
};

/// Receives what becomes of calls. One sink may serve many calls; `tag` tells them apart.
class ReplySink {
 public:
  /// Must read() the reply. The connection may be closed, not destroyed, from inside.
  virtual void on_reply(uint64_t tag, Connection& from, Reply& reply) = 0;
  /// The connection ended first: the call may or may not have reached the server.
  virtual void on_lost(uint64_t tag, Connection& from) = 0;

 protected:
  ~ReplySink() = default;
};

struct ConnectionOptions {
  net::FrameOptions frames;
  /// A call of more bytes is not sent: a server cuts off who sends more than its
  /// --max_frame_bytes, of which this is the default, and the call would be repeated in vain.
  size_t call_bytes_max = 4 << 20;
};

/// Loop thread only. Held by shared_ptr so that it outlives the callbacks it is running.
class Connection final : public std::enable_shared_from_this<Connection>,
                         private net::FrameConnection::Handler {
 public:
  /// Told of the connection's own life; must outlive it or call detach().
  class Owner {
   public:
    virtual void on_connection_open(Connection&) {}
    /// Before the lost calls are told.
    virtual void on_connection_closed(Connection&, const std::string& why) = 0;

   protected:
    ~Owner() = default;
  };

  /// Dials. Calls may be sent at once; they leave when the connection stands.
  static std::shared_ptr<Connection> dial(net::Loop& loop, const net::Address& address,
                                          const ConnectionOptions& options, Owner* owner);
  ~Connection();

  /// Sends one call and returns its seqid; 0 if it is too long, and then too_long() says so. `sink`
  /// must live until it is told, or until forget(). Not on a closed connection.
  template <class Call>
  int32_t send(const api::RequestContext& context, const typename Call::Request& request,
               ReplySink& sink, uint64_t tag) {
    const int32_t seqid = take_slot(sink, tag, context.sequence);
    const size_t bytes = frames_->send_up_to(call_bytes_max_, [&](std::string& out) {
      codec_.encode<Call>(seqid, context, request, out);
    });
    if (bytes <= call_bytes_max_) return seqid;
    release(*find(seqid));
    too_long_ = bytes;
    return 0;
  }
  /// Of the last call that was not sent.
  CallError too_long() const;
  /// The caller no longer wants the reply.
  void forget(int32_t seqid);

  /// Ends it; all outstanding calls are told on_lost. The owner is not told.
  void close();
  /// The owner goes away.
  void detach() { owner_ = nullptr; }
  bool closed() const { return closed_; }
  /// It stood at some time: what was sent may have arrived.
  bool opened() const { return opened_; }
  size_t outstanding() const { return outstanding_; }
  /// What was sent and the kernel has not taken yet.
  size_t output_bytes() const { return frames_->output_bytes(); }
  /// When the server last said anything; Instant{} if never.
  Instant last_received() const { return last_received_; }
  const net::Address& peer() const { return frames_->peer(); }

 private:
  struct Slot {
    ReplySink* sink = nullptr;
    uint64_t tag = 0;
    int64_t sequence = 0;
    int32_t seqid = 0;  ///< 0 = free
  };

  Connection(size_t call_bytes_max, Owner* owner)
      : call_bytes_max_(call_bytes_max), owner_(owner) {}
  int32_t take_slot(ReplySink& sink, uint64_t tag, int64_t sequence);
  Slot* find(int32_t seqid);
  void release(Slot& slot);
  void lose_all();
  void fail(const std::string& why);

  void on_connected(net::FrameConnection&) override;
  void on_frame(net::FrameConnection&, std::string_view payload) override;
  void on_closed(net::FrameConnection&, const net::CloseReason& reason) override;

  const size_t call_bytes_max_;
  Owner* owner_;
  std::unique_ptr<net::FrameConnection> frames_;
  Codec codec_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  uint32_t generation_ = 0;
  size_t outstanding_ = 0;
  size_t too_long_ = 0;  ///< bytes of the last call that was not sent
  Instant last_received_{};
  bool opened_ = false;
  bool closed_ = false;
};

}  // namespace holdfast::client
