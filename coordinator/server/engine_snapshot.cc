// Calls of service HoldfastAdmin about the snapshot.
#include <algorithm>

#include "coordinator/server/engine_calls.h"

namespace holdfast::server {
namespace {

constexpr int64_t kWaitMsMax = 60'000;
constexpr auto kPieceBytes = static_cast<int64_t>(snapshot::PieceSum::kPieceBytes);

/// What is wrong with the request by itself; empty: nothing.
std::string fault_of(const api::SnapshotPieceRequest& request) {
  if (request.maxWaitMs < 0 || request.maxWaitMs > kWaitMsMax) {
    return "maxWaitMs is " + std::to_string(request.maxWaitMs) + ": it must be from 0 to " +
           std::to_string(kWaitMsMax);
  }
  if (request.offset >= 0 && request.offset % kPieceBytes == 0) return {};
  return "offset is " + std::to_string(request.offset) + ": it must be a multiple of " +
         std::to_string(kPieceBytes) + " and not negative";
}

}  // namespace

// Whoever has the beginning of the copy that is there goes on with it. Any other begins: with the
// state that was committed when the call came, or a later one. Who asks again, because a copy takes
// longer than a call may, names what the first call was told: else it would always be too late.
void Engine::snapshot_piece(CallId call, const api::RequestContext& context,
                            const api::SnapshotPieceRequest& request) {
  if (refuse_stopping(call, context)) return;
  const std::string fault = fault_of(request);
  if (!fault.empty()) return bad_argument(call, context, fault);
  if (refuse(call, context, check_number("copy", request.copy, 0))) return;
  SnapshotAsk ask{.call = call,
                  .sequence = context.sequence,
                  .trace = context.trace,
                  .copy = static_cast<uint64_t>(request.copy),
                  .offset = static_cast<uint64_t>(request.offset),
                  .until = host_.clock.now() + from_ms(request.maxWaitMs)};
  if (const snapshot::SnapshotCopy* copy = source_.copy(ask.copy)) {
    if (ask.offset >= copy->bytes) {
      return bad_argument(call, context,
                          "offset is " + std::to_string(request.offset) + ": the copy has " +
                              std::to_string(copy->bytes) + " bytes");
    }
    ask.at_least = copy->head.applied;
    return source_.ask(std::move(ask));
  }
  const bool named = request.consistency == api::Consistency::LOCAL && context.minRevision > 0;
  if (named) ask.at_least = LogIndex(static_cast<uint64_t>(context.minRevision));
  read(call, context, request.consistency, /*bytes=*/0, [this, begin = std::move(ask)]() mutable {
    if (!begin.at_least) begin.at_least = std::max(host_.applied, LogIndex(1));
    source_.ask(std::move(begin));
  });
}

}  // namespace holdfast::server
