// Frames into a server: calls of clients and operators in both protocols, messages of other
// servers, and time. Nothing crashes it, every call is answered exactly once, and the state stays
// in order.
#include "tests/fuzz/input.h"
#include "tests/fuzz/memory_server.h"

namespace holdfast::server {
namespace {

using fuzz::Input;

constexpr int kStepsMax = 64;

/// A step is its kind and, where bytes follow, their length in two bytes, then the bytes.
void step(Input& input, MemoryServer& server) {
  const auto bytes = [&input] { return input.bytes(input.below(4'096)); };
  switch (input.byte() % 8) {
    case 0:
      return server.on_frame(client_methods(), bytes());
    case 1:
      return server.on_frame(admin_methods(), bytes());
    case 2:
      return server.advance(std::chrono::milliseconds(input.byte()));
    case 3:
      return server.advance(std::chrono::milliseconds(50 * input.byte()));
    case 4: {
      const NodeId from(input.byte() % 4);
      const uint8_t kind = input.byte() % 10;
      return server.on_app(from, kind, bytes());
    }
    case 5: {
      const uint8_t type = input.byte() % 10;
      return server.on_peer_frame(type, bytes());
    }
    case 6:
      return server.on_pause(std::chrono::milliseconds(20 * input.byte()));
    default:
      if (input.flag()) server.begin_drain();
  }
}

}  // namespace
}  // namespace holdfast::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  holdfast::fuzz::Input input(data, size);
  holdfast::server::MemoryServer server(input.flag() ? 3 : 1);
  for (int i = 0; i < holdfast::server::kStepsMax && !input.empty(); ++i) {
    holdfast::server::step(input, server);
  }
  server.finish();
  return 0;
}
