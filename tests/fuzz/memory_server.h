// One server's engine with everything around it in memory: the clock moves by hand, the disk syncs
// at the end of a turn, and what it sends to others is lost. Frames go through the same codec and
// the same table of methods as those of a port, and every call must be answered exactly once, by a
// message that a client can read.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "coordinator/server/engine.h"
#include "coordinator/server/rpc_methods.h"
#include "tests/support/memory_log_writer.h"
#include "tests/support/seeded_entropy.h"

namespace holdfast::server {

class MemoryServer final : raft::Transport, ReplySink, Clock {
 public:
  /// Alone it leads at once; of three it leads if the other two, whom the caller plays, vote for
  /// it.
  explicit MemoryServer(int members);
  ~MemoryServer() override;

  /// A frame that came in by the port of these methods.
  void on_frame(std::span<const RpcMethod> methods, std::string_view frame);
  void on_app(NodeId from, uint8_t kind, std::string_view payload);
  /// A frame of the peer protocol; its magic, version and checksum are made right.
  void on_peer_frame(uint8_t type, std::string_view body);
  void on_pause(Duration gap);
  void begin_drain() { engine_->begin_drain(); }
  /// Lets time pass, and does what is due until nothing is.
  void advance(Duration time);
  /// The server stops: what is outstanding is answered, and the state is in order.
  void finish();

 private:
  struct Outstanding {
    WireProtocol protocol;
    std::string method;
    int32_t seqid;
  };

  // Clock
  Instant now() override { return now_; }
  int64_t wall_unix_ms() override { return 1'700'000'000'000 + to_ms(now_.time_since_epoch()); }
  // raft::Transport
  bool send(const raft::Message&) override { return true; }
  bool send_app(NodeId, raft::Lane, uint8_t, std::string_view) override { return true; }
  // ReplySink
  void complete(CallId call, const ReplyView& reply) override;
  void fail(CallId call, const api::HoldfastError& error) override;
  uint64_t client_of(CallId) const override { return 0; }

  void turn();
  void dispatch(std::span<const RpcMethod> methods, WireProtocol protocol);
  Outstanding take(CallId call);
  void check_reply(const std::string& bytes, const Outstanding& call);
  void refuse(CallId call, const std::string& why);

  const int members_;
  Instant now_{1000s};
  SeededEntropy entropy_{1};
  raft::testing::MemoryLog disk_;
  raft::testing::MemoryLogWriter writer_{disk_};
  bool stopped_ = false;  ///< the engine found that it must not go on
  uint32_t next_slot_ = 0;
  std::map<uint32_t, Outstanding> outstanding_;
  RpcReader reader_;
  RpcReader reply_reader_;
  RpcWriter writer_of_replies_;
  RpcArguments arguments_;
  MessageHead head_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace holdfast::server
