// Thrift protocols that read one frame after the other. What a protocol keeps of a frame that it
// could not read to its end is in the way of all later ones: a level too deep is counted and never
// taken back, so that after a few such frames nothing is shallow enough any more, and a boolean
// that a field's head announced is taken for the first of the next list. So after such a frame the
// protocol is made anew.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "thrift/frame_transport.h"

namespace holdfast {

/// Protocol is one over a FrameReader. Not thread-safe.
template <class Protocol>
class FrameProtocol {
 public:
  /// `options` are those of Protocol behind its transport.
  template <class... Options>
  explicit FrameProtocol(Options... options)
      : make_([options...](std::optional<Protocol>& protocol,
                           const std::shared_ptr<FrameReader>& frame) {
          protocol.emplace(frame, options...);
        }) {
    make_(protocol_, frame_);
  }
  FrameProtocol(const FrameProtocol&) = delete;
  FrameProtocol& operator=(const FrameProtocol&) = delete;

  /// Reading of a frame begins; its bytes must outlive it.
  void reset(std::string_view frame) {
    if (reading_) make_(protocol_, frame_);
    reading_ = true;
    frame_->reset(frame);
  }
  /// What is read with, from reset() on.
  Protocol& in() { return *protocol_; }
  /// No value was left in its middle: the protocol is as good as new.
  void done() { reading_ = false; }
  /// Another value of the frame is read after done().
  void go_on() { reading_ = true; }
  /// Bytes of the frame not yet read.
  std::string_view rest() const { return frame_->rest(); }

 private:
  std::shared_ptr<FrameReader> frame_ = std::make_shared<FrameReader>();
  std::function<void(std::optional<Protocol>&, const std::shared_ptr<FrameReader>&)> make_;
  std::optional<Protocol> protocol_;
  bool reading_ = false;
};

}  // namespace holdfast
