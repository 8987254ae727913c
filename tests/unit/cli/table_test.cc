// What others named, shown to a person at a terminal.
#include "clients/cli/table.h"

#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

TEST(Printable, LettersOfAnyScriptStayAsTheyAre) {
  for (const char* text : {"", "a b/c", "Grüße", "日本語", "שלום", "🔒"}) {
    EXPECT_EQ(printable(text), text);
  }
}

TEST(Printable, WhatSteersATerminalIsEscaped) {
  EXPECT_EQ(printable("a\x1b[31m"), "a\\x1b[31m");
  EXPECT_EQ(printable("a\tb\n\x7f"), "a\\x09b\\x0a\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b") << "the control sequence introducer of C1";
}

TEST(Printable, WhatIsNotUtf8IsEscaped) {
  EXPECT_EQ(printable("\xff"
                      "a\xe2\x82"),
            "\\xffa\\xe2\\x82");
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf") << "longer than it need be";
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "half of a pair";
}

// A name that ends in "elgoog" behind one of them would be shown to end in "google".
TEST(Printable, WhatTurnsTheDirectionOfWritingAroundIsEscaped) {
  EXPECT_EQ(printable("/pay/\u202e"
                      "elgoog"),
            "/pay/\\xe2\\x80\\xaeelgoog");
  for (const char* mark :
       {"\u061c", "\u200e", "\u200f", "\u2028", "\u2029", "\u202a", "\u2066", "\u2069"}) {
    EXPECT_EQ(printable(mark).find(mark), std::string::npos);
  }
  EXPECT_EQ(printable("\u200d\u2027\u202f\u2065\u206a"), "\u200d\u2027\u202f\u2065\u206a");
}

TEST(Excerpt, AShortValueIsWhole) {
  EXPECT_EQ(excerpt(""), "");
  EXPECT_EQ(excerpt(std::string(kExcerptBytes, 'a')), std::string(kExcerptBytes, 'a'));
  EXPECT_EQ(excerpt("a\n"), "a\\x0a");
}

TEST(Excerpt, OfALongOneTheBeginningAndHowLongItIs) {
  EXPECT_EQ(excerpt(std::string(kExcerptBytes + 1, 'a')),
            std::string(kExcerptBytes, 'a') + "... (257 bytes)");
  EXPECT_LT(excerpt(std::string(1 << 20, '\xff')).size(), 5 * kExcerptBytes);
}

TEST(Excerpt, NoCharacterIsCutApart) {
  const std::string before(kExcerptBytes - 1, 'a');
  for (const char* character : {"\u00e4", "\u20ac", "\U0001f512"}) {
    EXPECT_EQ(excerpt(before + character).substr(0, before.size() + 4), before + "... ");
  }
}

}  // namespace
}  // namespace holdfast::cli
