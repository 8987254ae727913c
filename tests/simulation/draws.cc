#include "tests/simulation/draws.h"

#include <utility>

#include "base/checksum.h"

namespace holdfast::sim {

Stream::Stream(Draws& draws, std::string name, uint64_t seed)
    : draws_(draws), name_(std::move(name)), random_(checksum64(name_, seed)) {
  if (draws_.recording_) recorded_ = &draws_.recorded_[name_];
  const auto given = draws_.table_.find(name_);
  if (given != draws_.table_.end()) given_ = &given->second;
}

uint64_t Stream::raw(uint64_t bound) {
  switch (draws_.kind_) {
    case Draws::Kind::kSeed:
      return random_.below(bound);
    case Draws::Kind::kBytes:
      return draws_.take_bytes(bound);
    case Draws::Kind::kTable:
      break;
  }
  if (given_ == nullptr) return 0;
  const auto at = given_->find(drawn_);
  // A schedule that was edited may name a number that is out of bounds here.
  return at == given_->end() ? 0 : at->second % bound;
}

uint64_t Stream::note(uint64_t value) {
  if (recorded_ != nullptr && value != 0) recorded_->emplace(drawn_, value);
  ++drawn_;
  return value;
}

uint64_t Stream::below(uint64_t bound) { return note(raw(bound)); }

bool Stream::chance(int64_t permille) {
  if (permille <= 0) return false;
  if (draws_.kind_ == Draws::Kind::kTable) return note(raw(2)) != 0;
  return note(raw(1000) >= static_cast<uint64_t>(1000 - permille) ? 1 : 0) != 0;
}

Draws Draws::from_bytes(std::string bytes) {
  Draws draws(uint64_t{0});
  draws.kind_ = Kind::kBytes;
  draws.bytes_ = std::move(bytes);
  return draws;
}

uint64_t Draws::take_bytes(uint64_t bound) {
  uint64_t value = 0;
  for (uint64_t reach = 1; reach < bound && at_ < bytes_.size(); ++at_) {
    value = value << 8 | static_cast<uint8_t>(bytes_[at_]);
    if (reach > UINT64_MAX >> 8) break;
    reach <<= 8;
  }
  return value % bound;
}

Stream& Draws::stream(const std::string& name) {
  std::unique_ptr<Stream>& stream = streams_[name];
  if (stream == nullptr) stream.reset(new Stream(*this, name, seed_));
  return *stream;
}

}  // namespace holdfast::sim
