// The methods of both services: from a method's name to the engine's member that handles it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "coordinator/server/call.h"
#include "coordinator/server/rpc_codec.h"

namespace holdfast::server {

class Engine;

/// The arguments of one call, in an object that is used again: what it has allocated serves the
/// next call of the same method. Not thread-safe.
class RpcArguments {
 public:
  RpcArguments();
  RpcArguments(RpcArguments&&) noexcept;
  RpcArguments& operator=(RpcArguments&&) noexcept;
  ~RpcArguments();
  struct Objects;
  Objects& objects() { return *objects_; }

 private:
  std::unique_ptr<Objects> objects_;
};

struct RpcMethod {
  std::string name;
  /// Reads the arguments; throws TException if they are malformed, and the engine has not been
  /// called.
  void (*decode)(RpcReader& reader, RpcArguments& arguments);
  /// Calls the engine with what decode() read. The engine copies what it keeps.
  void (*invoke)(RpcArguments& arguments, Engine& engine, CallId call);
};

/// Methods of `service HoldfastKeys`, which extends `Holdfast`, by name ascending.
std::span<const RpcMethod> client_methods();
/// Methods of `service HoldfastAdmin`, by name ascending.
std::span<const RpcMethod> admin_methods();
/// The method with this name, or null.
const RpcMethod* find_method(std::span<const RpcMethod> methods, std::string_view name);

}  // namespace holdfast::server
