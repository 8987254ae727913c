// A port of the server as the engine's thread sees it, whichever threads its connections live on.
#pragma once

#include <cstdint>

#include "base/net/frame_connection.h"
#include "base/time.h"
#include "coordinator/server/call.h"
#include "coordinator/server/rpc_port_stats.h"

namespace holdfast::server {

class Engine;
class UnformedCalls;

struct RpcPortOptions {
  net::Address address;
  /// Set in the ids of this port's calls, so that answers find their way back to it. With I/O
  /// threads this is the first one's, and the others' follow.
  uint32_t tag = 0;
  net::FrameOptions frames;
  size_t max_connections = 16'000;
  /// As in net::ListenerOptions.
  uint32_t descriptors_kept = 0;
  /// Calls outstanding on one connection; more are refused with OVERLOADED.
  uint32_t max_calls_per_connection = 20'000;
};

/// The engine's thread.
class Port : public ReplySink {
 public:
  virtual ~Port() = default;

  /// As long as there is no engine: calls are refused. It outlives the port.
  virtual void serve_unformed(UnformedCalls& calls) = 0;
  /// Calls go to `engine` from now on; it outlives the port. Connections made before any serve...()
  /// wait unread.
  virtual void serve(Engine& engine) = 0;
  /// Accepts no more connections; what is outstanding is still answered.
  virtual void stop_accepting() = 0;
  /// Closes each connection once what it was sent is out.
  virtual void close_all_after_flush() = 0;
  /// Whoever must act on close_all_after_flush() has been told, and every answer before it.
  virtual bool closing_done() const = 0;

  /// Every call that had arrived by then has been handed to the engine; Instant::max() if that is
  /// so whenever the loop has no input left.
  virtual Instant handled_until() const = 0;
  /// handled_until() shall reach this moment soon, though nothing arrives.
  virtual void ask_handled_until(Instant moment) = 0;

  virtual uint16_t port() const = 0;
  /// These lag behind by up to a second with I/O threads.
  virtual size_t connections() const = 0;
  virtual RpcPortStats stats() const = 0;
};

}  // namespace holdfast::server
