import { Menu, X } from "lucide-react";
import { type ComponentType, type ReactNode, Suspense, useEffect, useId, useRef, useState } from "react";
import { NavLink, useLocation } from "react-router";
import { common } from "@/strings/common";
import { classes } from "./classes";
import { OfflineBanner } from "./connection";
import { IconButton } from "./controls";
import { Guarded } from "./guarded";
import { Loading } from "./layout";
import { loadAhead } from "./lazyPart";
import mark from "./mark.svg";
import styles from "./shell.module.css";

export interface NavItem {
  to: string;
  label: string;
  icon: ComponentType<{ size?: number; "aria-hidden"?: "true" }>;
  /** Beside the label: a count, a dot. */
  side?: ReactNode;
}

interface ShellProps {
  home: string;
  title: string;
  /** Name of the navigation, for those who listen. */
  navigation: string;
  items: readonly NavItem[];
  foot: ReactNode;
  banners?: ReactNode;
  /** Stays below the page while pages change: the player. */
  dock?: ReactNode;
  /** CSS length. */
  width?: string;
  children: ReactNode;
}

/** Navigation at the side (above, where it is narrow), banners, and the page. */
export function Shell({ home, title, navigation, items, foot, banners, dock, width, children }: ShellProps) {
  const { pathname } = useLocation();
  useFocusOnArrival(pathname);
  useEffect(loadAhead, []);
  return (
    <>
      <a className={styles.skip} href="#main">
        {common.skip}
      </a>
      <div
        className={styles.shell}
        style={width ? ({ "--page-width": width } as React.CSSProperties) : undefined}
      >
        <Side home={home} title={title} navigation={navigation} items={items} foot={foot} />
        <main id="main" className={styles.main} tabIndex={-1}>
          <div className={styles.banners}>
            <OfflineBanner />
            {banners}
          </div>
          <div className={styles.inside}>
            <Guarded at={pathname}>
              <Suspense fallback={<Loading />}>{children}</Suspense>
            </Guarded>
          </div>
        </main>
      </div>
      {dock}
    </>
  );
}

/** At the side where there is room; where it is narrow, a bar with a menu that opens beneath it. */
function Side({ home, title, navigation, items, foot }: Omit<ShellProps, "children">) {
  const { pathname } = useLocation();
  const [open, setOpen] = useState(false);
  const [shownAt, setShownAt] = useState(pathname);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();
  if (shownAt !== pathname) {
    setShownAt(pathname);
    setOpen(false);
  }
  useEffect(() => {
    if (!open) return;
    const leave = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      setOpen(false);
      button.current?.focus();
    };
    document.addEventListener("keydown", leave);
    return () => document.removeEventListener("keydown", leave);
  }, [open]);
  const here = items.find(({ to }) => (to === home ? pathname === to : pathname.startsWith(to)));
  const Icon = open ? X : Menu;
  return (
    <header className={styles.aside}>
      <NavLink to={home} className={styles.brand ?? ""} aria-label={title} end>
        <img src={mark} width={28} height={28} alt="" />
        <span>{title}</span>
      </NavLink>
      <span className={styles.here} aria-hidden="true">
        {here?.label}
      </span>
      <nav id={id} className={classes(styles.nav, open && styles.open)} aria-label={navigation}>
        <ul>
          {items.map(({ to, label, icon: ItemIcon, side }) => (
            <li key={to}>
              <NavLink to={to} end={to === home}>
                <ItemIcon size={18} aria-hidden="true" />
                {label}
                {side}
              </NavLink>
            </li>
          ))}
        </ul>
      </nav>
      <div className={styles.foot}>{foot}</div>
      <span className={styles.menu}>
        <IconButton
          ref={button}
          label={common.menu}
          aria-expanded={open}
          aria-controls={id}
          onClick={() => setOpen(!open)}
        >
          <Icon size={20} aria-hidden="true" />
        </IconButton>
      </span>
    </header>
  );
}

/** After a change of page the heading has the focus: whoever listens hears where they are. */
function useFocusOnArrival(pathname: string): void {
  const before = useRef(pathname);
  useEffect(() => {
    if (before.current === pathname) return;
    before.current = pathname;
    window.scrollTo(0, 0);
    document.getElementById("main")?.focus({ preventScroll: true });
  }, [pathname]);
}
