#include "coordinator/rsm/effects.h"

#include <utility>

namespace holdfast::rsm {
namespace {

/// As new, but the strings keep their memory.
void reset(Effect& effect) {
  std::string path = std::move(effect.path);
  std::string message = std::move(effect.result.message);
  path.clear();
  message.clear();
  effect = Effect{};
  effect.path = std::move(path);
  effect.result.message = std::move(message);
}

}  // namespace

Effect& Effects::add(EffectKind kind, Revision revision) {
  if (size_ == items_.size()) {
    items_.emplace_back();
  } else {
    reset(items_[size_]);
  }
  Effect& effect = items_[size_++];
  effect.kind = kind;
  effect.revision = revision;
  return effect;
}

}  // namespace holdfast::rsm
