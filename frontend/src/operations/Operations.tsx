import {
  Activity,
  BookOpen,
  FlaskConical,
  LogOut,
  ScrollText,
  ShieldCheck,
  Siren,
  Split,
} from "lucide-react";
import { Suspense } from "react";
import { Route, Routes } from "react-router";
import { AppearanceButton } from "@/shared/appearance";
import { IconButton } from "@/shared/controls";
import { Empty, Loading } from "@/shared/layout";
import { lazyPart } from "@/shared/lazyPart";
import { type NavItem, Shell } from "@/shared/shell";
import { common } from "@/strings/common";
import { operations } from "@/strings/operations";
import { FreshnessBanner } from "./live/FreshnessBanner";
import { LiveProvider } from "./live/live";
import { Standing, TabTitle } from "./live/Standing";
import { paths } from "./paths";
import { useOperator } from "./session/operator";

const SignIn = lazyPart(() => import("./pages/sign-in/SignIn"));
const Overview = lazyPart(() => import("./pages/overview/Overview"));
const Incidents = lazyPart(() => import("./pages/incidents/Incidents"));
const Incident = lazyPart(() => import("./pages/incidents/Incident"));
const Cutover = lazyPart(() => import("./pages/cutover/Cutover"));
const PlaybookPage = lazyPart(() => import("./pages/playbook/Playbook"));
const Drills = lazyPart(() => import("./pages/drills/Drills"));
const Safekeeping = lazyPart(() => import("./pages/safekeeping/Safekeeping"));
const Audit = lazyPart(() => import("./pages/audit/Audit"));

const ITEMS: readonly NavItem[] = [
  { to: paths.overview, label: operations.pages.overview, icon: Activity },
  { to: paths.incidents, label: operations.pages.incidents, icon: Siren },
  { to: paths.cutover, label: operations.pages.cutover, icon: Split },
  { to: paths.playbook, label: operations.pages.playbook, icon: BookOpen },
  { to: paths.drills, label: operations.pages.drills, icon: FlaskConical },
  { to: paths.safekeeping, label: operations.pages.safekeeping, icon: ShieldCheck },
  { to: paths.audit, label: operations.pages.audit, icon: ScrollText },
];

export function Operations() {
  const { signedIn } = useOperator();
  if (!signedIn) {
    return (
      <Suspense fallback={<Loading rows={1} height="100dvh" />}>
        <SignIn />
      </Suspense>
    );
  }
  return (
    <LiveProvider>
      <TabTitle />
      <Shell
        home={paths.overview}
        title={operations.title}
        navigation={operations.navigation}
        items={ITEMS}
        foot={<Foot />}
        banners={<FreshnessBanner />}
        width="90rem"
      >
        <Routes>
          <Route path={paths.overview} element={<Overview />} />
          <Route path={paths.incidents} element={<Incidents />} />
          <Route path={paths.incident(":id").replace("%3A", ":")} element={<Incident />} />
          <Route path={paths.cutover} element={<Cutover />} />
          <Route path={paths.playbook} element={<PlaybookPage />} />
          <Route path={paths.drills} element={<Drills />} />
          <Route path={paths.safekeeping} element={<Safekeeping />} />
          <Route path={paths.audit} element={<Audit />} />
          <Route path="*" element={<Empty title={common.notFound} />} />
        </Routes>
      </Shell>
    </LiveProvider>
  );
}

function Foot() {
  const { signOut } = useOperator();
  return (
    <>
      <Standing />
      <AppearanceButton />
      <IconButton label={operations.signOut} onClick={signOut}>
        <LogOut size={18} aria-hidden="true" />
      </IconButton>
    </>
  );
}
