package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

const secret = "0123456789abcdef0123456789abcdef"

var noon = time.Date(2030, 6, 1, 12, 0, 0, 0, time.UTC)

func atNoon() time.Time { return noon }

func newJWT(t testing.TB, c JWTConfig) *JWT {
	t.Helper()
	if c.Now == nil {
		c.Now = atNoon
	}
	j, err := NewJWT(c)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// sign makes a token of any header and payload, without asking whether they make sense.
func sign(t testing.TB, method jwt.SigningMethod, key any, header, payload string) string {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	text := b64([]byte(header)) + "." + b64([]byte(payload))
	sig, err := method.Sign(text, key)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + b64(sig)
}

func hs256(t testing.TB, payload string) string {
	return sign(t, jwt.SigningMethodHS256, []byte(secret), `{"alg":"HS256","typ":"JWT"}`, payload)
}

// in returns the time so far from noon, as a claim's value.
func in(d time.Duration) int64 { return noon.Add(d).Unix() }

// refuse checks the error, and that it gives nothing of the token away.
func refuse(t *testing.T, j *JWT, token string, want error) {
	t.Helper()
	id, err := j.Authenticate(context.Background(), Credential{token, Query})
	if !errors.Is(err, want) {
		t.Errorf("%q gives %+v, %v, want %v", token, id, err, want)
		return
	}
	if id.User != "" || id.Permissions != nil {
		t.Errorf("%+v came with the error %v", id, err)
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 8 && strings.Contains(err.Error(), part) {
			t.Errorf("the token is in %q", err)
		}
	}
}

func TestATokenGivesAnIdentity(t *testing.T) {
	j := newJWT(t, JWTConfig{Key: secret, Audience: "fanfare", Issuer: "us"})
	id, err := j.Authenticate(context.Background(), Credential{hs256(t, fmt.Sprintf(
		`{"sub":"Zoë","exp":%d,"nbf":%d,"aud":["other","fanfare"],"iss":"us","Sub":"eve","Rooms":null,"extra":{"a":[1]},
		"rooms":[{"match":"team-*","can":["join","publish","history"]}]}`, in(time.Hour), in(-time.Hour))), Bearer})
	want := Identity{User: "Zoë", Expires: noon.Add(time.Hour + defaultLeeway),
		Permissions: Permissions{{"team-*", Join | Publish | History}}}
	if err != nil || !cmp.Equal(id, want) {
		t.Errorf("got %+v, %v", id, err)
	}
}

func TestClaims(t *testing.T) {
	j := newJWT(t, JWTConfig{Key: secret, Audience: "fanfare", Issuer: "us"})
	exp := in(time.Hour)
	for _, c := range []struct {
		payload string
		want    error
	}{
		{fmt.Sprintf(`{"sub":"u","aud":"fanfare","iss":"us","exp":%d}`, exp), nil},
		{fmt.Sprintf(`{"sub":"u","aud":"fanfare","iss":"us","exp":%d.75}`, exp), nil},
		{fmt.Sprintf(`{"sub":"u","aud":"fanfare","iss":"us","exp":%d}`, in(-4*time.Second)), nil}, // within the leeway
		{fmt.Sprintf(`{"sub":"u","aud":"fanfare","iss":"us","exp":%d}`, in(-6*time.Second)), ErrExpired},
		{fmt.Sprintf(`{"sub":"u","aud":"fanfare","iss":"us","exp":%d}`, in(-1e6*time.Second)), ErrExpired},
		{`{"sub":"u","aud":"fanfare","iss":"us","exp":0}`, ErrExpired},
		{fmt.Sprintf(`{"sub":"u","aud":"other","iss":"us","exp":%d}`, in(-time.Hour)), ErrInvalid}, // not only expired
		{fmt.Sprintf(`{"sub":"u","aud":"fanfare","iss":"us","exp":%d,"nbf":%d}`, exp, in(4*time.Second)), nil},
		{fmt.Sprintf(`{"sub":"u","aud":"fanfare","iss":"us","exp":%d,"nbf":%d}`, exp, in(6*time.Second)), ErrInvalid},
		{fmt.Sprintf(`{"sub":"u","aud":"fanfare","iss":"us","exp":%d,"nbf":"soon"}`, exp), ErrInvalid},
		{`{"sub":"u","aud":"fanfare","iss":"us"}`, ErrInvalid},
		{fmt.Sprintf(`{"sub":"u","aud":"fanfare","iss":"us","Exp":%d}`, exp), ErrInvalid},
		{`{"sub":"u","aud":"fanfare","iss":"us","exp":null}`, ErrInvalid},
		{fmt.Sprintf(`{"sub":"u","aud":"fanfare","iss":"us","exp":"%d"}`, exp), ErrInvalid},
		{fmt.Sprintf(`{"sub":"u","aud":"fanfare","iss":"us","exp":%d000}`, exp), ErrInvalid}, // milliseconds
		{`{"sub":"u","aud":"fanfare","iss":"us","exp":1e300}`, ErrInvalid},
		{`{"sub":"u","aud":"fanfare","iss":"us","exp":1e999}`, ErrInvalid},
		{`{"sub":"u","aud":"fanfare","iss":"us","exp":-1}`, ErrInvalid},
		{`{"sub":"u","aud":"fanfare","iss":"us","exp":true}`, ErrInvalid},
		{fmt.Sprintf(`{"sub":"u","aud":"fanfare2","iss":"us","exp":%d}`, exp), ErrInvalid},
		{fmt.Sprintf(`{"sub":"u","aud":[],"iss":"us","exp":%d}`, exp), ErrInvalid},
		{fmt.Sprintf(`{"sub":"u","aud":["fanfare",1],"iss":"us","exp":%d}`, exp), ErrInvalid},
		{fmt.Sprintf(`{"sub":"u","aud":{"fanfare":1},"iss":"us","exp":%d}`, exp), ErrInvalid},
		{fmt.Sprintf(`{"sub":"u","aud":null,"iss":"us","exp":%d}`, exp), ErrInvalid},
		{fmt.Sprintf(`{"sub":"u","iss":"us","exp":%d}`, exp), ErrInvalid},
		{fmt.Sprintf(`{"sub":"u","aud":"fanfare","iss":"them","exp":%d}`, exp), ErrInvalid},
		{fmt.Sprintf(`{"sub":"u","aud":"fanfare","iss":["us"],"exp":%d}`, exp), ErrInvalid},
		{fmt.Sprintf(`{"sub":"u","aud":"fanfare","exp":%d}`, exp), ErrInvalid},
		{fmt.Sprintf(`{"aud":"fanfare","iss":"us","exp":%d}`, exp), ErrInvalid},
		{fmt.Sprintf(`{"Sub":"u","aud":"fanfare","iss":"us","exp":%d}`, exp), ErrInvalid},
		{fmt.Sprintf(`{"sub":"","aud":"fanfare","iss":"us","exp":%d}`, exp), ErrInvalid},
		{fmt.Sprintf(`{"sub":null,"aud":"fanfare","iss":"us","exp":%d}`, exp), ErrInvalid},
		{fmt.Sprintf(`{"sub":7,"aud":"fanfare","iss":"us","exp":%d}`, exp), ErrInvalid},
		{fmt.Sprintf(`{"sub":["u"],"aud":"fanfare","iss":"us","exp":%d}`, exp), ErrInvalid},
		{fmt.Sprintf(`{"sub":{"n":"u"},"aud":"fanfare","iss":"us","exp":%d}`, exp), ErrInvalid},
		{fmt.Sprintf(`{"sub":"a\nb","aud":"fanfare","iss":"us","exp":%d}`, exp), ErrInvalid},
		{fmt.Sprintf(`{"sub":"\ud800","aud":"fanfare","iss":"us","exp":%d}`, exp), ErrInvalid},
		{fmt.Sprintf("{\"sub\":\"\xff\",\"aud\":\"fanfare\",\"iss\":\"us\",\"exp\":%d}", exp), ErrInvalid},
		{fmt.Sprintf(`{"sub":"%s","aud":"fanfare","iss":"us","exp":%d}`, strings.Repeat("x", MaxUser+1), exp), ErrInvalid},
		{`null`, ErrInvalid}, {`[]`, ErrInvalid}, {`"x"`, ErrInvalid}, {``, ErrInvalid}, {`{`, ErrInvalid},
		{strings.Repeat("[", 5000), ErrInvalid},
	} {
		token := hs256(t, c.payload)
		if c.want != nil {
			refuse(t, j, token, c.want)
		} else if id, err := j.Authenticate(context.Background(), Credential{token, Bearer}); err != nil || id.User != "u" || id.Permissions != nil {
			t.Errorf("%s gives %+v, %v", c.payload, id, err)
		}
	}
}

func TestTheRoomsClaim(t *testing.T) {
	j := newJWT(t, JWTConfig{Key: secret})
	for _, rooms := range malformedRooms {
		refuse(t, j, hs256(t, fmt.Sprintf(`{"sub":"u","exp":%d,"rooms":%s}`, in(time.Hour), rooms)), ErrInvalid)
	}
	id, err := j.Authenticate(context.Background(), Credential{hs256(t, fmt.Sprintf(`{"sub":"u","exp":%d,"rooms":[]}`, in(time.Hour))), Bearer})
	if err != nil || id.Permissions == nil || id.Permissions.Allow("a", Join) {
		t.Errorf("an empty list of rooms gives %+v, %v", id, err)
	}
}

func TestForgedAndBrokenTokens(t *testing.T) {
	j := newJWT(t, JWTConfig{Key: secret})
	good := fmt.Sprintf(`{"sub":"u","exp":%d}`, in(time.Hour))
	token := hs256(t, good)
	parts := strings.Split(token, ".")
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	spare := alphabet[strings.IndexByte(alphabet, token[len(token)-1])|1] // the last two bits mean nothing
	none := func(alg string) string {
		return sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, `{"alg":"`+alg+`"}`, good)
	}
	for name, bad := range map[string]string{
		"none":              none("none"),
		"None":              none("None"),
		"NONE":              none("NONE"),
		"empty alg":         none(""),
		"no signature":      parts[0] + "." + parts[1] + ".",
		"none, signed":      strings.Split(none("none"), ".")[0] + "." + parts[1] + "." + parts[2],
		"HS512, our secret": sign(t, jwt.SigningMethodHS512, []byte(secret), `{"alg":"HS512"}`, good),
		"HS256, other key":  sign(t, jwt.SigningMethodHS256, []byte(secret+"x"), `{"alg":"HS256"}`, good),
		"HS256, empty key":  sign(t, jwt.SigningMethodHS256, []byte{}, `{"alg":"HS256"}`, good),
		"alg missing":       sign(t, jwt.SigningMethodHS256, []byte(secret), `{"typ":"JWT"}`, good),
		"alg a number":      sign(t, jwt.SigningMethodHS256, []byte(secret), `{"alg":256}`, good),
		"critical":          sign(t, jwt.SigningMethodHS256, []byte(secret), `{"alg":"HS256","crit":["exp2"],"exp2":1}`, good),
		"header null":       sign(t, jwt.SigningMethodHS256, []byte(secret), `null`, good),
		"two parts":         parts[0] + "." + parts[1],
		"four parts":        token + ".x",
		"only dots":         strings.Repeat(".", 8000),
		"padding":           token + "=",
		"spaces":            " " + token,
		"other payload":     parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"root","exp":9999999999}`)) + "." + parts[2],
		"cut":               token[:len(token)-1],
		"spare bits":        token[:len(token)-1] + string(spare),
		"no token at all":   "alice",
		"NUL":               "\x00",
		"huge":              hs256(t, fmt.Sprintf(`{"sub":"u","exp":%d,"x":"%s"}`, in(time.Hour), strings.Repeat("x", maxToken))),
		"megabytes":         strings.Repeat("a", 8<<20),
	} {
		t.Run(name, func(t *testing.T) { refuse(t, j, bad, ErrInvalid) })
	}
	if _, err := j.Authenticate(context.Background(), Credential{token, Bearer}); err != nil {
		t.Errorf("the good token: %v", err)
	}
}

func TestWithoutLeewayTimeIsExact(t *testing.T) {
	j := newJWT(t, JWTConfig{Key: secret, Leeway: -1})
	refuse(t, j, hs256(t, fmt.Sprintf(`{"sub":"u","exp":%d}`, in(0))), ErrExpired)
	refuse(t, j, hs256(t, fmt.Sprintf(`{"sub":"u","exp":%d,"nbf":%d}`, in(time.Hour), in(time.Second))), ErrInvalid)
	id, err := j.Authenticate(context.Background(), Credential{hs256(t, fmt.Sprintf(`{"sub":"u","exp":%d}`, in(time.Second))), Bearer})
	if err != nil || !id.Expires.Equal(noon.Add(time.Second)) {
		t.Errorf("got %+v, %v", id, err)
	}
}

// Whatever the claims say, an identity is a usable one.
func FuzzClaims(f *testing.F) {
	for _, s := range []string{`{"sub":"u","exp":1906545600}`, `{"sub":"u","exp":1e300}`, `null`, `{"sub":"\ud800","exp":253402300799}`,
		`{"sub":"u","exp":1906545600,"rooms":[{"match":"a*","can":["join"]}]}`, `{"sub":"u","exp":1906545600,"rooms":null}`} {
		f.Add(s)
	}
	j := newJWT(f, JWTConfig{Key: secret})
	f.Fuzz(func(t *testing.T, payload string) {
		id, err := j.Authenticate(context.Background(), Credential{hs256(t, payload), Bearer})
		if err != nil {
			if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrExpired) {
				t.Errorf("an error of no kind: %v", err)
			}
			return
		}
		var set map[string]json.RawMessage
		if err := json.Unmarshal([]byte(payload), &set); err != nil {
			t.Fatalf("the claims are no JSON: %v", err)
		}
		if _, restricted := set["rooms"]; restricted != (id.Permissions != nil) {
			t.Errorf("rooms %s gives %v", set["rooms"], id.Permissions)
		}
		if checkUser(id.User) != nil || !id.Expires.After(noon) || id.Expires.Year() > 10000 {
			t.Errorf("got %+v", id)
		}
	})
}

func FuzzToken(f *testing.F) {
	f.Add(hs256(f, `{"sub":"u","exp":1906545600}`)[1:])
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("..")
	j := newJWT(f, JWTConfig{Key: secret})
	f.Fuzz(func(t *testing.T, token string) {
		if id, err := j.Authenticate(context.Background(), Credential{token, Bearer}); err == nil && !strings.HasPrefix(token, "eyJ") {
			t.Errorf("%q gives %+v", token, id)
		}
	})
}

func BenchmarkHS256(b *testing.B) {
	for name, rooms := range map[string]Permissions{"plain": nil, "rooms": {{"team-*", Join | Publish | History}, {"lobby", Join}}} {
		b.Run(name, func(b *testing.B) {
			token, err := Mint(secret, Claims{User: "alice", Audience: "fanfare", Issuer: "us", Permissions: rooms})
			if err != nil {
				b.Fatal(err)
			}
			j := newJWT(b, JWTConfig{Key: secret, Audience: "fanfare", Issuer: "us", Now: time.Now})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := j.Authenticate(context.Background(), Credential{token, Bearer}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
