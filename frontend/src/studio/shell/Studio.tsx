import { AudioLines, Clock, LogOut, Mic, ReceiptText, Sparkles, UserRound, Users } from "lucide-react";
import { Suspense } from "react";
import { Navigate, Route, Routes, useLocation } from "react-router";
import { AppearanceButton } from "@/shared/appearance";
import { IconButton } from "@/shared/controls";
import { Empty, Loading } from "@/shared/layout";
import { lazyPart } from "@/shared/lazyPart";
import { type NavItem, Shell } from "@/shared/shell";
import { common } from "@/strings/common";
import { studio } from "@/strings/studio";
import { paths } from "../paths";
import { PlayerDock } from "../player/PlayerDock";
import { PlayerProvider } from "../player/player";
import { useSession } from "../session/session";
import { NoticeBanner } from "./NoticeBanner";
import { SessionEnded } from "./SessionEnded";
import styles from "./Studio.module.css";

const SignIn = lazyPart(() => import("../pages/sign-in/SignIn"));
const Generate = lazyPart(() => import("../pages/generate/Generate"));
const Voices = lazyPart(() => import("../pages/voices/Voices"));
const Clone = lazyPart(() => import("../pages/clone/Clone"));
const Design = lazyPart(() => import("../pages/design/Design"));
const History = lazyPart(() => import("../pages/history/History"));
const Usage = lazyPart(() => import("../pages/usage/Usage"));
const Account = lazyPart(() => import("../pages/account/Account"));

const ITEMS: readonly NavItem[] = [
  { to: paths.generate, label: studio.pages.generate, icon: AudioLines },
  { to: paths.voices, label: studio.pages.voices, icon: Users },
  { to: paths.clone, label: studio.pages.clone, icon: Mic },
  { to: paths.design, label: studio.pages.design, icon: Sparkles },
  { to: paths.history, label: studio.pages.history, icon: Clock },
  { to: paths.usage, label: studio.pages.usage, icon: ReceiptText },
  { to: paths.account, label: studio.pages.account, icon: UserRound },
];

export function Studio() {
  const { state } = useSession();
  const { pathname, search } = useLocation();
  if (state.status === "loading") return <Loading rows={1} height="100dvh" />;
  if (state.status === "signed_out") {
    const next = pathname === paths.home ? "" : `?next=${encodeURIComponent(pathname + search)}`;
    return (
      <Suspense fallback={<Loading rows={1} height="100dvh" />}>
        <Routes>
          <Route path={paths.signIn} element={<SignIn purpose="in" />} />
          <Route path={paths.signUp} element={<SignIn purpose="up" />} />
          <Route path="*" element={<Navigate to={paths.signIn + next} replace />} />
        </Routes>
      </Suspense>
    );
  }
  return (
    <PlayerProvider>
      <Shell
        home={paths.generate}
        title={studio.title}
        navigation={studio.navigation}
        items={ITEMS}
        foot={<Foot />}
        banners={<NoticeBanner />}
        dock={<PlayerDock />}
      >
        <Routes>
          <Route path={paths.home} element={<Navigate to={paths.generate} replace />} />
          <Route path={paths.signIn} element={<Arrive />} />
          <Route path={paths.signUp} element={<Arrive />} />
          <Route path={paths.generate} element={<Generate />} />
          <Route path={paths.voices} element={<Voices />} />
          <Route path={paths.clone} element={<Clone />} />
          <Route path={paths.design} element={<Design />} />
          <Route path={paths.history} element={<History />} />
          <Route path={paths.usage} element={<Usage />} />
          <Route path={paths.account} element={<Account />} />
          <Route path="*" element={<Empty title={common.notFound} />} />
        </Routes>
      </Shell>
      <SessionEnded />
    </PlayerProvider>
  );
}

/** Whoever has signed in goes on to where they wanted to. */
function Arrive() {
  const { search } = useLocation();
  const next = new URLSearchParams(search).get("next") ?? "";
  return <Navigate to={/^\/(?![/\\])/.test(next) ? next : paths.generate} replace />;
}

function Foot() {
  const { state, signOut } = useSession();
  const email = "email" in state ? state.email : "";
  return (
    <>
      <span className={styles.who} title={email}>
        {email}
      </span>
      <AppearanceButton />
      <IconButton label={studio.signOut} onClick={() => void signOut()}>
        <LogOut size={18} aria-hidden="true" />
      </IconButton>
    </>
  );
}
